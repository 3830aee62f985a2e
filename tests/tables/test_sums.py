"""Totals of all time: they are the sum of the hours, at any time, and read without them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from faust.types import TP

from app.counting.counters import Counters
from app.counting.row_keys import SOURCE
from app.transport.ownership import Ownership
from tables.row_sources import LiveRows
from tables.sums import STEP_ROWS
from tables.totals import Totals
from tests.support.tables import recover
from tests.tables.test_totals import NOW, partial

MakeTotals = Callable[[], Totals]
NO_LOG: Any = None  # nothing is read again
URLS = ("/a", "/ab", "/b")


def random_records(counters: Counters, dice: random.Random, many: int) -> list[Any]:
    spec = counters["events_by_url_hourly"]
    records = []
    for _ in range(many):
        start, slot = spec.place(int((NOW - timedelta(hours=dice.randrange(900))).timestamp()))
        key = spec.keys.row(dice.choice(URLS), start, dice.choice(("VIEW", "CLICK")))
        value = msgspec.msgpack.encode((9, {slot: dice.randrange(1, 50)}))
        records.append(SimpleNamespace(key=key + SOURCE.pack(dice.randrange(3)), value=value))
    return records


def hours_summed(totals: Totals, url: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for labels in totals.read_all("events_by_url_hourly", url).values():
        for label, count in labels.items():
            found[label] = found.get(label, 0) + count
    return found


def all_time(totals: Totals, url: str) -> dict[str, int]:
    """Return what is answered; each call settles some, as each query does."""
    totals.settle("events_by_url", url)
    return totals.read_all("events_by_url", url).get(0, {})


async def merge(totals: Totals, records: list[Any]) -> None:
    for record in records:
        url = "/b" if b"/b" in record.key else "/ab" if b"/ab" in record.key else "/a"
        await totals.merge(totals.partition_of(url), [record], 1)


@pytest.mark.parametrize("seed", range(3))
async def test_all_time_is_the_sum_of_the_hours_whatever_comes_again(
    make_totals: MakeTotals, counters: Counters, seed: int
) -> None:
    totals, dice = make_totals(), random.Random(seed)
    for _ in range(4):
        records = random_records(counters, dice, 60)
        await merge(totals, records)
        if dice.random() < 0.5:
            totals.forget()
        await merge(totals, dice.choices(records, k=20))
        for url in URLS:
            assert all_time(totals, url) == hours_summed(totals, url) != {}


async def test_days_that_are_over_are_added_up_once(
    make_totals: MakeTotals, counters: Counters
) -> None:
    totals, spec = make_totals(), counters["events_by_url_hourly"]
    partition = totals.partition_of("/a")
    for days in range(400):
        await totals.merge(partition, [partial(counters, 0, 2, days=days)], 1)
    while not totals.settle("events_by_url", "/a"):
        pass
    db, least = totals.db(partition), int((NOW - timedelta(days=4)).timestamp())
    for row in list(totals.rows_of(spec.number, partition)):
        if spec.keys.parse(row)[1] < least:
            db.delete(row)
    assert all_time(totals, "/a") == {"VIEW": 800}, "the same cost after ten years"
    totals.forget()
    assert all_time(totals, "/a") == {"VIEW": 800}


async def test_a_recovery_by_a_clock_that_was_never_set_makes_the_same_sums(
    make_totals: MakeTotals, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = make_totals()
    partition = totals.partition_of("/a")
    monkeypatch.setattr("tables.sums.time", lambda: 0.0)
    row = counters["events_by_url_hourly"].keys.row("/a", 0, "VIEW")
    recover(totals, [(row, msgspec.msgpack.encode({0: 7}))], partition=partition)
    assert all_time(totals, "/a") == {"VIEW": 7}


async def test_an_event_that_comes_late_is_in_a_sum_that_was_made_before(
    make_totals: MakeTotals, counters: Counters
) -> None:
    totals = make_totals()
    partition = totals.partition_of("/a")
    for days in range(40):
        await totals.merge(partition, [partial(counters, 0, 2, days=days)], 1)
    assert all_time(totals, "/a") == {"VIEW": 80}
    for _ in range(2):
        await totals.merge(partition, [partial(counters, 1, 5, days=30)], 1)
        await totals.merge(partition, [partial(counters, 0, 3, days=30)], 1)
        await totals.merge(partition, [partial(counters, 0, 7, days=300)], 1)
        assert all_time(totals, "/a") == {"VIEW": 80 + 5 + 1 + 7}
        totals.forget()


@pytest.mark.parametrize("seed", range(5))
async def test_a_recovery_makes_the_sums_again(
    make_totals: MakeTotals, counters: Counters, seed: int
) -> None:
    totals, dice = make_totals(), random.Random(seed)
    records = random_records(counters, dice, 200)
    if seed:
        await merge(totals, records[:50])  # RocksDB is ahead of the changelog, in part
    for at in range(0, 200, 40):
        totals.apply_changelog_batch(changelog_of(totals, records[at : at + 60]))
        if dice.random() < 0.5:
            totals.forget()
        for url in URLS:
            assert all_time(totals, url) == hours_summed(totals, url)
    await merge(totals, random_records(counters, dice, 50))
    for url in URLS:
        assert all_time(totals, url) == hours_summed(totals, url) != {}


def changelog_of(totals: Totals, records: list[Any]) -> list[Any]:
    """Return what a recovery reads that has the totals which these partials make."""
    rows: dict[int, list[Any]] = {}
    for record in records:
        _, cells = msgspec.msgpack.decode(record.value, type=tuple[int, dict[int, int]])
        source = record.key[-1] << 8
        value = msgspec.msgpack.encode({source | slot: n for slot, n in cells.items()})
        url = "/b" if b"/b" in record.key else "/ab" if b"/ab" in record.key else "/a"
        found = rows.setdefault(totals.partition_of(url), [])
        found.append(SimpleNamespace(key=record.key[:-2], value=value))
    messages = []
    for partition, found in rows.items():
        tp = TP(totals.changelog_topic.get_topic_name(), partition)
        body = SimpleNamespace(tp=tp, partition=partition, offset=len(found), value=found)
        messages.append(SimpleNamespace(message=body))
    return messages


async def test_redis_gets_each_url_once_and_whole(
    make_totals: MakeTotals, counters: Counters
) -> None:
    totals = make_totals()
    live = LiveRows(totals, Ownership(None, "counts", "totals", 4), counters, NO_LOG)
    for days in range(30):
        await merge(totals, [partial(counters, 0, 1, "/a", days=days)])
        await merge(totals, [partial(counters, 1, 2, "/b", days=days)])
    partitions = {totals.partition_of(url) for url in ("/a", "/b")}
    changed = [row for p in partitions for chunk in live.take(p)[0] for row in chunk]
    assert sorted(changed) == [("/a", {"VIEW": 30}), ("/b", {"VIEW": 60})]
    assert sorted(row for p in partitions for c in live.every(p) for row in c) == sorted(changed)


async def test_many_days_are_taken_into_a_sum_some_at_a_time(
    make_totals: MakeTotals, counters: Counters
) -> None:
    totals = make_totals()
    live = LiveRows(totals, Ownership(None, "counts", "totals", 4), counters, NO_LOG)
    partition = totals.partition_of("/a")
    for days in range(1000):
        await totals.merge(partition, [partial(counters, 0, 2, days=days)], 1)
    steps = 1
    while not totals.settle("events_by_url", "/a"):
        assert totals.read_all("events_by_url", "/a") == {0: {"VIEW": 2000}}, "at any time"
        steps += 1
    assert steps == 1000 // STEP_ROWS + 1
    assert [row for chunk in live.take(partition)[0] for row in chunk] == [("/a", {"VIEW": 2000})]


async def test_a_day_of_many_types_is_taken_into_a_sum_some_at_a_time(
    make_totals: MakeTotals, counters: Counters
) -> None:
    totals, spec = make_totals(), counters["events_by_url_hourly"]
    partition, types = totals.partition_of("/a"), [f"{n}é" for n in range(4 * STEP_ROWS)]

    async def count(source: int, ago: int, labels: list[str]) -> None:
        start, slot = spec.place(int((NOW - timedelta(days=ago)).timestamp()))
        rows = [spec.keys.row("/a", start, label) + SOURCE.pack(source) for label in labels]
        value = msgspec.msgpack.encode((9, {slot: 2}))
        await totals.merge(partition, [SimpleNamespace(key=row, value=value) for row in rows], 1)

    for ago in (30, 31):
        await count(0, ago, types)
    steps = 0
    while not totals.settle("events_by_url", "/a"):
        steps += 1
        await count(steps, 31 - steps % 2, types[steps :: 2 * STEP_ROWS])  # late, on both sides
        assert totals.read_all("events_by_url", "/a").get(0) == hours_summed(totals, "/a")
        if steps % 3 == 0:
            totals.forget()
    assert steps >= 2 * len(types) // STEP_ROWS - 1
    assert totals.read_all("events_by_url", "/a").get(0) == hours_summed(totals, "/a")
