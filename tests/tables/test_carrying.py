"""Seconds that come along in the rows of another counter: each is counted once, by each level."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.record.memory_records import MemoryRecords

import tables.carrying
import tables.partials
from app.counting.carried import FINE, FINE_MAX
from app.counting.counters import Counters
from app.counting.spec import OTHER_KEY, TYPES, Rows
from app.events.event import Event
from tables.partial_values import ALL, FoldRange
from tables.partials import SOURCE, Partials
from tables.totals import Totals
from tests.support.batches import judged
from tests.tables.conftest import SentRecords

BASE = "events_by_url_hourly"
LEVELS = [f"page_views_by_page_{level}" for level in ("secondly", "minutely", "hourly")]
URLS = ["/hot", "/hot", "/hot", "/warm", "/ü", *(f"/cold/{n}" for n in range(8))]
KINDS = ["VIEW", "VIEW", "page_view", "PageView", "CLICK"]
Found = dict[tuple[str, str], dict[int, int]]  # (counter, url) -> {window start: views}


class DiedError(Exception):
    """Stands for kill -9."""


def some_events(dice: random.Random, count: int, span_s: int = 3000) -> list[Event]:
    """Return events of the last minutes, of urls with many views and with one."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        Event(
            type=dice.choice(KINDS),
            url=dice.choice(URLS),
            timestamp=now - timedelta(seconds=int(dice.random() ** 2 * span_s)),
        )
        for _ in range(count)
    ]


def fold_of(counters: Counters, events: list[Event]) -> FoldRange:
    def fold(begin: int, end: int) -> Rows:
        part = judged(events[begin + 1 : end + 1])
        return counters.fold(part, datetime.now(UTC).timestamp())

    return fold


def by_hand(events: list[Event]) -> Found:
    found: Found = {}
    for event in events:
        if event.type == "CLICK":
            continue
        assert event.url is not None
        assert event.timestamp is not None
        at = int(event.timestamp.timestamp())
        for name, window in zip(LEVELS, (1, 60, 3600), strict=True):
            windows = found.setdefault((name, event.url), Counter())
            windows[at - at % window] += 1
    return found


def records(sent: SentRecords) -> list[tuple[int, Any]]:
    """Return the records of `counts` with their partitions, in order."""
    found = []
    for topic, partition, builder, _ in sent.batches:
        if topic == "counts":
            batches = MemoryRecords(bytes(builder._build()))
            while (batch := batches.next_batch()) is not None:
                found += [
                    (partition, SimpleNamespace(key=one.key, value=one.value)) for one in batch
                ]
    return found


async def merge(totals: Totals, found: list[tuple[int, Any]]) -> None:
    for partition in range(4):
        mine = [record for at, record in found if at == partition]
        for first in range(0, len(mine), 50):
            await totals.merge(partition, mine[first : first + 50], 1)


def read(totals: Totals) -> Found:
    found: Found = {}
    for name in LEVELS:
        for url in set(URLS):
            windows = totals.read_all(name, url)
            if windows:
                found[name, url] = {start: labels[""] for start, labels in windows.items()}
    return found


async def flush(partials: Partials, most: int | None = None) -> None:
    """Flush; die behind so many writes."""
    if most is None:
        await partials.flush()
        return
    write, left = partials.write, [most]

    async def dying_write(*args: Any) -> None:
        if not left[0]:
            raise DiedError
        left[0] -= 1
        await write(*args)

    partials.write = dying_write  # type: ignore[method-assign,assignment]
    try:
        await partials.flush()
    except DiedError:
        pass
    finally:
        del partials.write


@pytest.mark.parametrize("seed", range(4))
async def test_each_view_is_counted_once_by_each_level_wherever_a_worker_dies(
    make_partials: Callable[[], Partials],
    make_totals: Callable[[], Totals],
    counters: Counters,
    sent: SentRecords,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables.partials, "FLUSH_CHUNK", 7)
    monkeypatch.setattr(tables.carrying, "BLOCK", 30)
    dice = random.Random(seed)
    partials = make_partials()
    sources = [some_events(dice, 500), some_events(dice, 200)]
    for source, events in enumerate(sources):
        await count_and_die(partials, source, fold_of(counters, events), len(events), dice)
    found, totals = records(sent), make_totals()
    await merge(totals, found)
    expected = by_hand([*sources[0], *sources[1]])
    assert read(totals) == expected
    again = dice.sample(found, len(found) // 2)
    await merge(totals, again)
    totals.forget()
    await merge(totals, again)
    assert read(totals) == expected, "what comes again, late or out of order"


@pytest.mark.parametrize("again", [1, 31, 60])
async def test_a_row_that_has_just_become_full_is_counted_once_where_its_batch_comes_again(
    make_app: Callable[[], Any],
    counters: Counters,
    sent: SentRecords,
    again: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It dies behind each write of the flush; then batches are cut in another way.

    What was sent to `counts` before its last write is there for good.
    """
    monkeypatch.setattr(tables.partials, "FLUSH_CHUNK", 1)
    monkeypatch.setattr(tables.carrying, "BLOCK", 16)
    now = datetime.now(UTC).replace(microsecond=0)
    events = [
        Event(type="VIEW", url="/hot", timestamp=now - timedelta(seconds=60 - at))
        for at in range(60)
    ]
    fold = fold_of(counters, events)
    for writes in range(9):
        where: dict[str, Any] = {"counts_topic": "counts", "counts_partitions": 4, "rules": {}}
        place = make_app(), f"partials{writes}", 4, ""
        partials = Partials.create(*place, counters=counters, **where)
        sent.batches.clear()
        for first, end in ((0, 20), (20, 60)):
            partials.absorb(0, first, end - 1, fold)
        partials.absorbed(0, 60, lambda: None)
        await flush(partials, writes)
        partials.forget()
        for first in range(0, 60, again):
            partials.absorb(0, first, min(60, first + again) - 1, fold)
        partials.absorbed(0, 60, lambda: None)
        await flush(partials)
        totals = Totals.create(make_app(), f"totals{writes}", 4, "", counters=counters)
        await merge(totals, records(sent))
        assert read(totals) == by_hand(events), f"dead behind {writes} writes"


async def count_and_die(
    partials: Partials, source: int, fold: FoldRange, events: int, dice: random.Random
) -> None:
    """Count events in batches, and die between two of them or in the middle of a flush."""
    at, committed = 0, 0
    while committed < events:
        end = min(events, at + dice.choice([1, 7, 60, 250]))
        partials.absorb(source, at, end - 1, fold)
        partials.absorbed(source, end, lambda: None)
        at, what = end, dice.random()
        if what < 0.15 or at == events:
            await flush(partials)
            committed = at
        elif what < 0.6:
            await flush(partials, dice.randrange(20))
            partials.forget()
            at = committed
        if dice.random() < 0.2:
            partials.forget()
            at = committed = max(0, committed - dice.randrange(200))


async def test_a_url_with_few_views_is_one_row_and_one_with_many_carries_no_more(
    make_partials: Callable[[], Partials], counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    partials, now = make_partials(), datetime.now(UTC).replace(microsecond=0)
    monkeypatch.setattr(tables.carrying, "BLOCK", 16)
    hot = [Event(type="VIEW", url="/hot", timestamp=now - timedelta(seconds=n)) for n in range(90)]
    events = [Event(type="VIEW", url="/cold", timestamp=now), *hot]
    fold, carried = fold_of(counters, events), counters.carried
    partials.absorb(0, 0, len(events) - 1, fold)
    assert carried is not None
    rows = partials.load(0, ())
    places = {(row[0], counters.by_number[row[0]].parse(row)[0]) for row in rows if row[0]}
    base = carried.base.number
    levels = {spec.number for spec in carried.levels}
    assert {number for number, url in places if url == "/cold"} == {base}
    assert {number for number, url in places if url == "/hot"} == {base, *levels}
    most = max(len(one.cells) for row, one in rows.items() if row[0] == base)
    assert FINE_MAX <= most < FINE_MAX + 16 + 24


async def test_rows_that_an_older_version_wrote_carry_nothing(
    make_partials: Callable[[], Partials],
    make_totals: Callable[[], Totals],
    counters: Counters,
    sent: SentRecords,
) -> None:
    """Half of its last batch comes again: all of it is in rows of their own."""
    events, partials = some_events(random.Random(1), 200), make_partials()
    plain = Counters([replace(spec, carried_by="") for spec in counters.values()])
    encode = msgspec.msgpack.encode
    rows = {
        row: encode((149, cells)) for row, cells in sorted(fold_of(plain, events)(-1, 149).items())
    }
    await partials.write(0, list(rows.items()))
    await partials._publish([(row + SOURCE.pack(0), value) for row, value in rows.items()], {})
    partials.absorb(0, 100, 199, fold_of(counters, events))
    partials.absorbed(0, 200, lambda: None)
    await partials.flush()
    totals = make_totals()
    await merge(totals, records(sent))
    assert read(totals) == by_hand(events)


async def test_seconds_in_a_row_of_another_counter_are_left_out(
    make_totals: Callable[[], Totals], counters: Counters
) -> None:
    totals, spec, source = make_totals(), counters[BASE], SOURCE.pack(0)
    strange = [
        (counters["events_by_type"].row("", 0, "VIEW"), {FINE: 1}),
        (spec.row("/a", 0, "CLICK"), {FINE: 1}),
        (spec.row("/a", 0, "VIEW"), {0: 1}),
    ]
    place: dict[str, Any] = {"topic": "counts", "partition": 0, "offset": 1}
    strangers = [
        SimpleNamespace(
            key=row + source, value=msgspec.msgpack.encode((1, {0: 1}, ALL, fine)), **place
        )
        for row, fine in strange
    ]
    for partition in range(4):
        await totals.merge(partition, strangers, 1)
    assert not totals.read_all(BASE, "/a")


async def test_views_whose_type_is_not_kept_are_views_all_the_same(
    make_partials: Callable[[], Partials],
    make_totals: Callable[[], Totals],
    counters: Counters,
    sent: SentRecords,
) -> None:
    events, partials, kept = some_events(random.Random(2), 200), make_partials(), {TYPES: {"VIEW"}}

    def fold(begin: int, end: int) -> Rows:
        now = datetime.now(UTC).timestamp()
        return counters.fold(judged(events[begin + 1 : end + 1]), now, kept)

    for first in range(0, 200, 10):
        partials.absorb(0, first, first + 9, fold)
    partials.absorbed(0, 200, lambda: None)
    await partials.flush()
    totals = make_totals()
    await merge(totals, records(sent))
    assert read(totals) == by_hand(events)
    labels = {label for found in totals.read_all(BASE, "/hot").values() for label in found}
    assert labels == {"VIEW", OTHER_KEY}
