"""Seconds that come along in the rows of another counter: each is counted once, by each level."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import tables.partials
from app.counting.carried import FINE, FINE_MAX, parted
from app.counting.counters import Counters
from app.counting.groups import FoldState
from app.counting.row_keys import SOURCE
from app.counting.spec import OTHER_KEY, TYPES, Rows
from app.events.event import Event
from tables.partial_values import CARRIES, FoldRange
from tables.partials import Partials
from tables.totals import Totals
from tests.support.batches import judged
from tests.tables.carrying import (
    BASE,
    by_hand,
    flush,
    fold_of,
    merge,
    new_partials,
    read,
    records,
    some_events,
)
from tests.tables.conftest import SentRecords


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
    dice = random.Random(seed)
    partials = make_partials()
    sources = [some_events(dice, 500), some_events(dice, 200)]
    for source, events in enumerate(sources):
        fold = fold_of(counters, events, partials, source)
        await count_and_die(partials, source, fold, len(events), dice)
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
    now = datetime.now(UTC).replace(microsecond=0)
    events = [
        Event(type="VIEW", url="/hot", timestamp=now - timedelta(seconds=60 - at))
        for at in range(60)
    ]
    for writes in range(9):
        partials = new_partials(make_app(), f"partials{writes}", counters)
        fold = fold_of(counters, events, partials)
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
    make_partials: Callable[[], Partials], counters: Counters
) -> None:
    partials, now = make_partials(), datetime.now(UTC).replace(microsecond=0)
    hot = [Event(type="VIEW", url="/hot", timestamp=now - timedelta(seconds=n)) for n in range(90)]
    events = [Event(type="VIEW", url="/cold", timestamp=now), *hot]
    fold, carried = fold_of(counters, events), counters.carried
    partials.absorb(0, 0, len(events) - 1, fold)
    assert carried is not None
    rows = partials.load(0, ())
    places = {(row[0], counters.by_number[row[0]].keys.parse(row)[0]) for row in rows if row[0]}
    base = carried.base.number
    levels = {spec.number for spec in carried.levels}
    assert {number for number, url in places if url == "/cold"} == {base}
    assert {number for number, url in places if url == "/hot"} == {base, *levels}
    most = max(len(parted(one.cells)[1]) for row, one in rows.items() if row[0] == base)
    assert most == FINE_MAX


async def test_the_rows_are_the_same_however_events_are_cut_into_batches(
    make_app: Callable[[], Any], counters: Counters
) -> None:
    """Which seconds came first is a matter of offsets, also within a batch."""
    count = 800  # rows become full, also where midnight parts them
    events = some_events(random.Random(3), count)
    found = []
    for size in (1, 7, count):
        partials = new_partials(make_app(), f"cut{size}", counters)
        fold = fold_of(counters, events, partials if size < count else None)
        for first in range(0, count, size):
            partials.absorb(0, first, min(count, first + size) - 1, fold)
        found.append({row: partial.cells for row, partial in partials.load(0, ()).items()})
        assert bool(partials.full[0]) == (size < count)
    assert found[0] == found[1] == found[2]


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
    await partials.send_rows(0, list(rows.items()))
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
        (counters["events_by_type"].keys.row("", 0, "VIEW"), {FINE: 1}),
        (spec.keys.row("/a", 0, "CLICK"), {FINE: 1}),
        (spec.keys.row("/a", 0, "VIEW"), {0: 1}),
    ]
    place: dict[str, Any] = {"topic": "counts", "partition": 0, "offset": 1}
    strangers = [
        SimpleNamespace(
            key=row + source, value=msgspec.msgpack.encode((1, {0: 1}, CARRIES, fine)), **place
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
        return counters.fold(judged(events[begin + 1 : end + 1]), now, FoldState(kept))

    for first in range(0, 200, 10):
        partials.absorb(0, first, first + 9, fold)
    partials.absorbed(0, 200, lambda: None)
    await partials.flush()
    totals = make_totals()
    await merge(totals, records(sent))
    assert read(totals) == by_hand(events)
    labels = {label for found in totals.read_all(BASE, "/hot").values() for label in found}
    assert labels == {"VIEW", OTHER_KEY}
