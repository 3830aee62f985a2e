"""Partitions move while a table writes, deletes, heals or waits for Kafka: what is over then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import faust
import msgspec
import pytest
from faust.types import TP

from app.counting.duplicates import HOUR_MS, MARGIN_MS
from app.counting.row_keys import SOURCE
from tables.expiring import EXPIRE_CHUNK
from tables.healing import AGAIN_KEY, CHUNK
from tables.messages import Messages
from tables.totals import Totals
from tests.support.tables import recover
from tests.tables.conftest import SentRecords
from tests.tables.test_messages import NOW_MS, batch

MakeTotals = Callable[[], Totals]
ROW = b"\x04\0\0\0\0\0\0A"
BEYOND = 10**6  # an offset of the changelog that a recovery has read up to
OLD = [b"\x0c%08d" % number for number in range(EXPIRE_CHUNK + 7)]


def changelog(table: Any, partition: int = 0) -> TP:
    """Return a partition of a table's changelog."""
    return TP(table.changelog_topic.get_topic_name(), partition)


@contextmanager
def held(sent: SentRecords) -> Iterator[asyncio.Event]:
    """Let no record reach the producer inside; yields what is set once one wants to."""
    wanted, free, send = asyncio.Event(), asyncio.Event(), sent.send_batch

    async def wait(*args: Any, **kwargs: Any) -> Any:
        wanted.set()
        await free.wait()
        return await send(*args, **kwargs)

    sent.send_batch = wait  # type: ignore[method-assign]
    try:
        yield wanted
    finally:
        free.set()
        sent.send_batch = send  # type: ignore[method-assign]


async def moved(table: Any) -> None:
    """Let partitions move, once whoever is busy has ended."""
    async with table.busy:
        table.forget()


async def read_beyond(table: Any, sent: SentRecords) -> None:
    """A recovery reads all that was sent, and more; then comes a commit."""
    table.data.set_persisted_offset(changelog(table), BEYOND)
    sent.acknowledge(5)
    await table.drain()
    assert table.data.persisted_offset(changelog(table)) == BEYOND


async def during(work: Awaitable[Any], table: Any, sent: SentRecords) -> Any:
    """Let partitions move while something sends its first record; return what it returned."""
    with held(sent) as wanted:
        task = asyncio.ensure_future(work)
        await wanted.wait()
        moving = asyncio.ensure_future(moved(table))
        await asyncio.sleep(0)
    await moving
    return await task


@pytest.fixture
def totals(make_totals: MakeTotals, monkeypatch: pytest.MonkeyPatch) -> Totals:
    """Return totals of which the rows OLD are past their retention."""
    table = make_totals()
    monkeypatch.setattr(table, "expired", lambda _part, _now: ((b"\x0c", b"\x0d"),))
    return table


async def test_a_deletion_ends_with_the_chunk_in_the_middle_of_which_partitions_move(
    totals: Totals, sent: SentRecords
) -> None:
    for partition in (0, 1):
        await totals.write(partition, [(row, b"\x80") for row in OLD])
    sent.acknowledge()
    await totals.drain()
    assert await during(totals.expire([0, 1]), totals, sent) == EXPIRE_CHUNK
    assert len(list(totals.db(0).items())) == len(OLD) - EXPIRE_CHUNK + 1, "and an offset"
    assert len(list(totals.db(1).items())) == len(OLD) + 1
    await read_beyond(totals, sent)
    assert await totals.expire([0]) == len(OLD) - EXPIRE_CHUNK


async def test_message_ids_are_not_deleted_where_partitions_moved(
    make_app: Callable[[], faust.App], sent: SentRecords
) -> None:
    messages = Messages.create(
        make_app(), "messages", 4, "", hours=24, by_uuid=False, committed=lambda _: 2
    )
    for partition in (0, 1):
        await messages.load(partition)
        for offset, ms in enumerate((NOW_MS, NOW_MS + 24 * HOUR_MS + MARGIN_MS + 1)):
            messages.judge(partition, *batch(offset, [str(offset)], ms))
            messages.passed(partition, offset + 1, ms / 1000)
            await messages.flush(partition)
    sent.acknowledge()
    await messages.drain()
    assert await during(messages.expire([0, 1]), messages, sent) == 1
    await read_beyond(messages, sent)


async def test_a_merge_that_partitions_move_in_the_middle_of_is_told_to_nobody(
    totals: Totals, sent: SentRecords
) -> None:
    changes = totals.watch(ROW[0])
    record = SimpleNamespace(key=ROW + SOURCE.pack(0), value=msgspec.msgpack.encode((9, {0: 3})))
    with held(sent) as wanted:
        merging = asyncio.create_task(totals.merge(0, [record], 10))
        await wanted.wait()
        totals.forget()
    await merging
    assert changes.take(0) == (set(), -1)
    await read_beyond(totals, sent)


async def test_a_commit_of_before_waits_for_what_was_sent_and_leaves_the_rest_alone(
    totals: Totals, sent: SentRecords
) -> None:
    for partition in (0, 1):
        await totals.write(partition, [(ROW, b"\x80")])
    committing = asyncio.create_task(totals.drain())
    await asyncio.sleep(0)
    totals.forget()
    for partition in (0, 1):
        totals.data.set_persisted_offset(changelog(totals, partition), BEYOND)
        await totals.write(partition, [(ROW, b"\x80")])
    newer = [future for *_, future in sent.batches[2:]]
    sent.batches = sent.batches[:2]
    assert not committing.done()
    sent.acknowledge(5)
    await committing
    assert totals.in_flight() == newer
    for partition in (0, 1):
        assert totals.data.persisted_offset(changelog(totals, partition)) == BEYOND


async def test_rows_that_are_being_sent_again_are_sent_by_the_next_recovery(
    totals: Totals, sent: SentRecords
) -> None:
    await totals.write(0, [(b"\x0c%08d" % number, b"\x80") for number in range(CHUNK + 1)])
    sent.acknowledge()
    await totals.drain()
    totals.db(0).put(AGAIN_KEY, b"1")
    count = len(sent.batches)
    with held(sent) as wanted:
        healing = asyncio.create_task(totals._heal(changelog(totals)))
        await wanted.wait()
        totals.forget()
    await healing
    assert len(sent.batches) == count + 1, "and no second chunk"
    assert totals.db(0).get(AGAIN_KEY) is not None


async def test_rows_that_are_outdone_wait_for_the_next_recovery(
    totals: Totals, sent: SentRecords
) -> None:
    newer, older = msgspec.msgpack.encode({1: 3}), msgspec.msgpack.encode({1: 2})
    recover(totals, [(ROW, newer), (ROW, older)])
    with held(sent) as wanted:
        sending = asyncio.create_task(totals._send_outdone(changelog(totals)))
        await wanted.wait()
        totals.forget()
    await sending
    assert totals.outdone.rows[0] == {ROW}
    assert totals.data.persisted_offset(changelog(totals)) is None
