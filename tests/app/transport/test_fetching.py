"""A fetch and its positions, from aiokafka's own state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from types import MappingProxyType, SimpleNamespace
from typing import Any

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from app.events.records import Record
from app.transport.fetching import FetchThread, make_light
from tests.app.transport.conftest import SOURCE, record


class ScriptedFetcher:
    """Gives the scripted (records, position afterwards) one after the other."""

    _closed = False
    _records: Mapping[Any, Any] = MappingProxyType({})

    def __init__(self, position: int, script: list[tuple[list[Any], int]]) -> None:
        self.state = SimpleNamespace(_position=position, lso=100, highwater=200)
        self._script = script
        assignment = SimpleNamespace(state_value=lambda _tp: self.state)
        self._subscriptions = SimpleNamespace(
            reassignment_in_progress=False,
            fetch_context=nullcontext,
            subscription=SimpleNamespace(assignment=assignment),
        )

    async def fetched_records(
        self, _active: Any, timeout: float, max_records: int
    ) -> dict[Any, Any]:
        assert timeout == 0, "another task could move the position in between"
        assert max_records == 10
        records, self.state._position = self._script.pop(0)
        return {SOURCE: records} if records else {}

    def _create_fetch_waiter(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(
            0.01, lambda: None if waiter.done() else waiter.set_result(None)
        )
        return waiter


def make_thread(fetcher: ScriptedFetcher, pause_s: float = 0.0) -> Any:
    """Return a FetchThread without its thread."""
    thread = FetchThread.__new__(FetchThread)
    consumer = SimpleNamespace(_fetcher=fetcher, _closed=False, _max_poll_records=10)
    thread._ensure_consumer = lambda: consumer
    thread.consumer = SimpleNamespace(gate=1, flow_active=True)
    thread.transport = SimpleNamespace(batch_pause_s=pause_s)
    return thread


async def test_records_come_with_the_positions_around_them() -> None:
    thread = make_thread(ScriptedFetcher(5, [([], 5), ([], 9), ([record(9), record(12)], 15)]))
    markers = (await thread.fetch(frozenset([SOURCE]), 1, 1, {"source"}))[SOURCE]
    batch = (await thread.fetch(frozenset([SOURCE]), 1, 1, {"source"}))[SOURCE]
    assert (len(markers), markers.before, markers.after) == (0, 5, 9)
    assert (len(batch), batch.before, batch.after) == (2, 9, 15)
    assert (markers.lag, batch.lag) == (91, 85), "up to what a transaction holds back"


async def test_a_fetch_for_a_closed_gate_takes_nothing() -> None:
    thread = make_thread(ScriptedFetcher(5, [([record(5)], 6)]))
    assert await thread.fetch(frozenset([SOURCE]), 0, 1, {"source"}) == {}


async def test_a_small_fetch_makes_the_next_one_wait() -> None:
    thread = make_thread(ScriptedFetcher(5, [([record(5)], 6), ([record(6)], 7)]), pause_s=0.05)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for _ in range(2):
        await thread.fetch(frozenset([SOURCE]), 1, 1, {"source"})
    assert loop.time() - begun >= 0.049  # the loop counts whole milliseconds


def test_a_fetch_is_unpacked_into_records() -> None:
    builder = BatchBuilder(
        10_000, 0, is_transactional=False, key_serializer=None, value_serializer=None
    )
    for key, value in ((b"key", b"value"), (None, None)):
        builder.append(timestamp=1000, key=key, value=value)
    unpacked = PartitionRecords(
        SOURCE,
        MemoryRecords(bytes(builder._build())),
        [],
        0,
        None,
        None,
        check_crcs=True,
        isolation_level="read_committed",
    )
    make_light(SimpleNamespace(_partition_records=unpacked))
    assert list(unpacked) == [
        Record("source", 0, 0, 1000, 0, b"key", b"value"),
        Record("source", 0, 1, 1000, 0, None, None),
    ]
    assert unpacked.next_fetch_offset == 2


def test_what_is_no_fetch_is_left_alone() -> None:
    make_light(None)
    for nothing in (SimpleNamespace(), SimpleNamespace(_partition_records=None)):
        before = dict(vars(nothing))
        make_light(nothing)
        assert vars(nothing) == before
