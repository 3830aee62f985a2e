"""Partitions that move while partials send their rows again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.counting.counters import Counters
from tables.healing import in_chunks
from tables.partials import Partials
from tests.tables.conftest import SentRecords
from tests.tables.test_healing import changelog, written
from tests.tables.test_partials import absorb


async def test_what_a_flush_sends_again_ends_where_partitions_are_revoked(
    make_partials: Callable[[], Partials],
    counters: Counters,
    sent: SentRecords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The partitions wait for the flush; what asked for the rows is read again."""
    monkeypatch.setattr("tables.healing.CHUNK", 1)
    partials = make_partials()
    await written(partials, counters, sent)
    rows = [key for chunk in in_chunks(partials.db(0)) for key, _ in chunk]
    absorb(partials, counters, 6, 12)
    partials.send_again(0)
    partials.when_flushed = lambda _: revoked.append("ended")
    revoked = list[str]()

    class Hook:
        async def flush(self, _partition: int) -> None:
            sent.batches.clear()
            asyncio.get_running_loop().call_soon(revoke)

        def forget(self) -> None:
            revoked.append("moved")

    def revoke() -> None:
        revoked.append("revoked")
        partials.app.tables.on_partitions_revoked({changelog(partials)})

    partials.carry(Hook())
    flushing = asyncio.create_task(partials.flush())
    while not revoked:
        await asyncio.sleep(0)
    await partials.on_rebalance(set(), set(), set(), 1)
    await flushing
    assert revoked == ["revoked", "ended", "moved"]
    assert len(sent.keys(changelog(partials).topic, 0)) < len(rows) / 2


async def test_what_a_flush_would_send_again_after_a_revocation_is_not_begun(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    absorb(partials, counters, 0, 6)
    partials.send_again(0)
    partials.app.tables.on_partitions_revoked({changelog(partials)})
    await partials.flush()
    keys = sent.keys(changelog(partials).topic, 0)
    assert len(keys) == len(set(keys))
    await partials.on_rebalance(set(), set(), set(), 1)
    absorb(partials, counters, 0, 6)
    partials.send_again(0)
    sent.batches.clear()
    await partials.flush()
    assert len(again := sent.keys(changelog(partials).topic, 0)) > len(set(again)) == len(keys)


async def test_what_partitions_move_in_the_middle_of_is_not_sent_to_the_changelog_any_more(
    make_partials: Callable[[], Partials],
    counters: Counters,
    sent: SentRecords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The recovery that reads it would take it for a changelog that was cut."""
    partials = make_partials()
    last = await written(partials, counters, sent)
    send = sent.send_batch

    async def move(builder: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
        monkeypatch.setattr(sent, "send_batch", send)
        partials.forget()
        return await send(builder, topic, partition=partition)

    monkeypatch.setattr(sent, "send_batch", move)
    (rows,) = in_chunks(partials.db(0))
    await partials.send_rows(0, rows)
    partials.data.set_persisted_offset(changelog(partials), last + len(rows))
    sent.acknowledge(last + 1)
    await partials.drain()
    assert set(sent.topics()) == {"counts"}
