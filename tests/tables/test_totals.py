"""Total counts: merging in any order, any number of times; reading; expiry."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from faust.types import TP

from app.counting.counters import Counters
from app.counting.row_keys import SOURCE, mark_of
from tables.totals import Totals
from tests.support.metrics import passed_records
from tests.tables.conftest import SentRecords

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def partial(counters: Counters, source: int, count: int, url: str = "/a", **ago: int) -> Any:
    """Return a record of `counts`: VIEWs of a url in one hour, from one source partition."""
    spec = counters["events_by_url_hourly"]
    start, slot = spec.place(int((NOW - timedelta(**ago)).timestamp()))
    key = spec.keys.row(url, start, "VIEW") + SOURCE.pack(source)
    return SimpleNamespace(key=key, value=msgspec.msgpack.encode((9, {slot: count})))


@pytest.mark.parametrize("seed", range(5))
async def test_records_in_any_order_and_number_give_the_largest_of_each_source(
    make_totals: Callable[[], Totals], counters: Counters, seed: int
) -> None:
    totals, dice = make_totals(), random.Random(seed)
    records = [partial(counters, source, n) for source in range(3) for n in (1, 5, 9)] * 2
    dice.shuffle(records)
    partition = totals.partition_of("/a")
    for at in range(0, len(records), 4):
        await totals.merge(partition, records[at : at + 4], at)
    assert totals.read_all("events_by_url", "/a") == {0: {"VIEW": 27}}


async def test_a_zombies_late_record_lowers_nothing_in_the_same_batch_either(
    make_totals: Callable[[], Totals], counters: Counters
) -> None:
    totals = make_totals()
    partition = totals.partition_of("/a")
    await totals.merge(partition, [partial(counters, 0, 9)], 1)
    await totals.merge(partition, [partial(counters, 0, 10), partial(counters, 0, 3)], 3)
    assert totals.read_all("events_by_url", "/a") == {0: {"VIEW": 10}}


async def test_reading_a_range_of_windows(
    make_totals: Callable[[], Totals], counters: Counters
) -> None:
    totals = make_totals()
    partition = totals.partition_of("/a")
    await totals.merge(partition, [partial(counters, 0, h + 1, hours=h) for h in range(40)], 40)
    begin = int((NOW - timedelta(hours=30)).timestamp())
    end = int((NOW - timedelta(hours=28)).timestamp())
    found = totals.read("events_by_url_hourly", "/a", begin, end)
    assert [found[w]["VIEW"] for w in sorted(found)] == [31, 30]


async def test_one_url_is_never_read_as_the_beginning_of_another(
    make_totals: Callable[[], Totals], counters: Counters
) -> None:
    totals = make_totals()
    for url in ("/a", "/ab", "/", ""):
        await totals.merge(totals.partition_of(url), [partial(counters, 0, len(url) + 1, url)], 1)
    for url in ("/a", "/ab", "/", ""):
        assert list(totals.read_all("events_by_url", url).values()) == [{"VIEW": len(url) + 1}]


async def test_marks_tell_up_to_where_a_partition_is_complete(
    make_totals: Callable[[], Totals],
) -> None:
    totals = make_totals()
    marks = [
        SimpleNamespace(key=mark_of(source), value=msgspec.msgpack.encode((at, {0: at})))
        for source, at in ((0, 70_000), (3, 5), (0, 80_000))
    ]
    await totals.merge(2, marks, 3)
    assert totals.merged_to(2) == {0: 80_000, 3: 5}


async def test_rows_past_their_retention_go_and_leave_tombstones(
    make_totals: Callable[[], Totals], counters: Counters, sent: SentRecords
) -> None:
    totals, spec = make_totals(), counters["events_by_type_minutely"]
    old = int((NOW - timedelta(days=3)).timestamp())
    records = []
    for time in (old, int(NOW.timestamp())):
        start, slot = spec.place(time)
        key = spec.keys.row("", start, "VIEW") + SOURCE.pack(0)
        records.append(SimpleNamespace(key=key, value=msgspec.msgpack.encode((9, {slot: 1}))))
    partition = totals.partition_of("")
    await totals.merge(partition, records, 2)
    written = len(sent.batches)
    assert await totals.expire([partition]) == 1
    assert list(totals.read("events_by_type_minutely", "", old - 60, old + 60)) == []
    assert list(totals.read_all("events_by_type_minutely", "")) == [int(NOW.timestamp())]
    assert len(sent.batches) == written + 1
    assert await totals.expire([partition]) == 0


async def test_draining_waits_also_after_a_drain_that_was_cancelled(
    make_totals: Callable[[], Totals], counters: Counters, sent: SentRecords
) -> None:
    totals = make_totals()
    await totals.merge(totals.partition_of("/a"), [partial(counters, 0, 9)], 1)
    for _ in range(2):
        draining = asyncio.create_task(totals.drain())
        await asyncio.sleep(0.01)
        assert not draining.done()
        draining.cancel()
        await asyncio.wait([draining])
    draining = asyncio.create_task(totals.drain())
    sent.acknowledge()
    await draining
    tp = TP(totals.changelog_topic.get_topic_name(), totals.partition_of("/a"))
    assert totals.data.persisted_offset(tp) == 1  # the row, and the position


async def test_draining_waits_for_a_record_that_is_not_on_its_way_yet(
    make_totals: Callable[[], Totals],
    counters: Counters,
    sent: SentRecords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    totals, room = make_totals(), asyncio.Event()
    partition, send_batch = totals.partition_of("/a"), sent.send_batch

    async def wait_for_room(*args: Any, **kwargs: Any) -> Any:
        await room.wait()
        return await send_batch(*args, **kwargs)

    monkeypatch.setattr(sent, "send_batch", wait_for_room)
    merging = asyncio.create_task(totals.merge(partition, [partial(counters, 0, 9)], 1))
    await asyncio.sleep(0)
    assert totals.read_all("events_by_url", "/a"), "a reader sees it"
    draining = asyncio.create_task(totals.drain())
    await asyncio.sleep(0.01)
    assert not draining.done()
    room.set()
    await merging
    await asyncio.sleep(0.01)
    assert not draining.done()
    sent.acknowledge()
    await draining


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"junk", b"junk"),
        (None, b"junk"),
        (b"", b"junk"),
        (b"x", msgspec.msgpack.encode((1, {0: 1}))),
        (b"\x04\xff\xff\0\0", msgspec.msgpack.encode((1, {0: 1}))),
        (b"\x02\0\1\xff\0\0\0\0VIEW\0\0", msgspec.msgpack.encode((1, {0: 1}))),
        (None, msgspec.msgpack.encode((1, {999: 1}))),
        (None, msgspec.msgpack.encode((1, {0: -5}))),
        (None, msgspec.msgpack.encode([1, 2, 3])),
        (None, b""),
    ],
)
async def test_a_record_of_somebody_else_is_left_out_and_counted(
    make_totals: Callable[[], Totals], counters: Counters, key: bytes | None, value: bytes
) -> None:
    totals, good = make_totals(), partial(counters, 0, 9)
    before = passed_records("counts")
    if key is None and value != b"junk":
        key = partial(counters, 1, 9).key
    junk = SimpleNamespace(topic="counts", partition=0, offset=7, key=key, value=value)
    partition = totals.partition_of("/a")
    await totals.merge(partition, [junk, good, junk], 3)
    assert totals.read_all("events_by_url", "/a") == {0: {"VIEW": 9}}
    assert passed_records("counts") == before + 2
