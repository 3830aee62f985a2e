"""A rebalance in the middle of a recovery, and a recovery that stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from app.settings import Settings
from app.transport.unending import UnendingRecovery
from app.wiring.faust_app import batch_app, ready
from tests.app.transport.conftest import SOURCE, Delivery

STORED = "what is stored"


class Touched:
    """Notes what a seek does to a table that is behind the commit, and to a log that is short."""

    def __init__(self, delivery: Delivery) -> None:
        self.calls: list[str] = []
        hooks = delivery.consumer.hooks
        hooks.table_position[SOURCE.topic] = lambda _partition: 40
        hooks.lose[SOURCE.topic] = lambda *_: self.calls.append("lose")
        hooks.fill_up = self._fill_up

    async def _fill_up(self, _tp: Any, _position: int) -> None:
        self.calls.append("fill up")


async def test_nothing_flows_from_a_revocation_to_the_next_recovery(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.revoke()
    delivery.consumer.resume_flow()  # by a recovery that does not know of it yet
    assert not delivery.consumer.flow_active
    await delivery.assign()
    await delivery.open()
    assert delivery.consumer.flow_active


async def test_nothing_flows_either_where_nothing_was_assigned(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.consumer.on_partitions_revoked(set())
    assert not delivery.consumer.flow_active


async def test_a_seek_of_the_old_recovery_opens_nothing_in_the_next_one(
    delivery: Delivery,
) -> None:
    consumer = delivery.consumer
    await delivery.open()
    await delivery.revoke()
    await consumer.perform_seek()
    await consumer.on_partitions_assigned(set())
    consumer.reassigned()
    consumer.app.on_rebalance_end()  # by the old one, too
    consumer.resume_flow()  # to read changelogs
    assert not consumer.answering()
    assert not ready(consumer.app)


async def test_nor_does_a_seek_that_ends_when_the_next_one_has_begun(delivery: Delivery) -> None:
    consumer, ended = delivery.consumer, asyncio.Event()
    await delivery.open()
    delivery.thread.before_seek = ended.wait
    seek = asyncio.ensure_future(consumer.perform_seek())
    await asyncio.sleep(0)
    await delivery.revoke()
    await delivery.assign()
    ended.set()
    await seek
    consumer.resume_flow()
    assert not consumer.open_partitions()


async def test_nor_does_an_old_recovery_that_is_not_cancelled_yet(delivery: Delivery) -> None:
    """The assignment is the same, and so is its generation: Faust lets it go on."""
    consumer = delivery.consumer
    await delivery.open()
    await delivery.revoke()
    await delivery.assign(generations=0)
    consumer.app.tables.recovery.signal_recovery_start.set()
    await delivery.open()
    assert not consumer.flow_active
    consumer.app.tables.recovery.signal_recovery_start.clear()  # it begins
    consumer.resume_flow()
    assert not consumer.open_partitions()


async def test_a_seek_of_the_old_recovery_touches_neither_logs_nor_tables(
    delivery: Delivery,
) -> None:
    """They may be somebody else's by now, and what was kept is answered for until the next one."""
    consumer = delivery.consumer
    await delivery.assign()
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    await delivery.revoke()
    touched = Touched(delivery)
    delivery.thread.log_start, delivery.thread.log_end = 90, 95
    await consumer.perform_seek()
    assert touched.calls == []
    await delivery.assign()
    consumer.app.tables.recovery.signal_recovery_start.set()
    await consumer.perform_seek()
    assert touched.calls == []
    assert set(consumer.answering()) == {SOURCE}
    consumer.app.tables.recovery.signal_recovery_start.clear()
    await consumer.perform_seek()
    assert touched.calls == ["fill up", "lose"]


@pytest.mark.parametrize("moves_in", ["the seek", "the edges", STORED])
async def test_nor_does_one_that_partitions_are_revoked_in(
    delivery: Delivery, moves_in: str
) -> None:
    touched = Touched(delivery)
    delivery.thread.log_start, delivery.thread.log_end = 90, 95 if moves_in != STORED else 1000
    ends, stored_to = delivery.thread.highwaters, delivery.consumer.hooks.stored_to

    async def edges(*tps: Any) -> dict[Any, int]:
        await delivery.revoke()
        return await ends(*tps)

    async def stored(tp: Any) -> Any:
        await delivery.revoke()
        return await stored_to(tp)

    if moves_in == STORED:
        delivery.consumer.hooks.stored_to = stored
    elif moves_in == "the edges":
        delivery.thread.highwaters = edges  # type: ignore[method-assign]
    else:
        delivery.thread.before_seek = delivery.revoke
    await delivery.consumer.perform_seek()
    assert touched.calls == []


async def test_an_old_recovery_that_has_read_all_lets_no_table_begin(
    delivery: Delivery,
) -> None:
    """Tables were told to end what they still do; nobody would tell them again."""
    begun = list[str]()

    class Table:
        async def on_recovery_completed(self, *_: Any) -> None:
            begun.append("sending rows again")

    app = delivery.consumer.app
    app.tables.data["t"] = Table()
    await delivery.open()
    await delivery.revoke()
    await app.tables.recovery.on_recovery_completed(app.consumer_generation_id)
    assert begun == []


async def test_a_fetch_of_nothing_seeks_nothing_when_the_flow_stops(delivery: Delivery) -> None:
    consumer = delivery.consumer
    await delivery.open()
    gate = consumer.gate

    async def fetch() -> list[Any]:
        return [found async for found in consumer.getmany(timeout=1.0)]

    fetching = asyncio.ensure_future(fetch())
    await asyncio.sleep(0)
    await delivery.revoke()
    closed = consumer.gate
    assert closed > gate
    assert await fetching == []
    assert consumer.gate == closed, "a seek closes it once more"


async def test_nothing_flows_once_the_worker_fails(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.consumer.fail(ValueError())
    await delivery.open()
    assert not delivery.consumer.flow_active
    assert not delivery.consumer.open_partitions()


@pytest.fixture
async def recovery(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> UnendingRecovery:
    """Return a recovery that has ten rows to read, and looks often."""
    monkeypatch.setattr("app.transport.unending.LOOK_S", 0.01)
    made = batch_app(settings, "g", {SOURCE.topic}, set()).tables.recovery
    assert isinstance(made, UnendingRecovery)
    made.in_recovery, made.still_s = True, 0.2
    made.active_highwaters, made.active_offsets = Counter({SOURCE: 10}), Counter({SOURCE: 0})
    return made


async def watched(recovery: UnendingRecovery, seconds: float) -> None:
    """Watch it for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await UnendingRecovery._watch_progress.fun(recovery)


async def test_a_recovery_that_reads_nothing_ends_the_worker(recovery: UnendingRecovery) -> None:
    with pytest.raises(RuntimeError, match=r"no row was recovered .*; 10 are left"):
        await watched(recovery, 10)


async def test_rows_sent_again_that_kafka_never_acknowledges_end_the_worker(
    recovery: UnendingRecovery,
) -> None:
    recovery.in_recovery = False  # as Faust has it by then
    table = SimpleNamespace(healing=(3, 2))
    recovery.app.tables.data["t"] = table
    with pytest.raises(RuntimeError, match=r"not acknowledged for 0 s"):
        await watched(recovery, 10)
    table.healing = None
    await watched(recovery, 0.5)


async def test_a_recovery_that_comes_nearer_goes_on(
    recovery: UnendingRecovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def a_row_later() -> float:
        recovery.active_offsets[SOURCE] += 1
        if (row := recovery.active_offsets[SOURCE]) == 10:
            raise TimeoutError  # all have been read: as at the end of watched()
        return float(row * recovery.still_s * 0.75)

    monkeypatch.setattr("app.transport.unending.monotonic", a_row_later)
    await watched(recovery, 60)
    assert recovery.active_offsets[SOURCE] == 10


async def test_a_recovery_waits_for_a_kafka_that_is_not_well(recovery: UnendingRecovery) -> None:
    async def diagnose() -> str:
        return "Kafka is away"

    hooks: Any = recovery.app.transport.hooks
    hooks.diagnose = diagnose
    await watched(recovery, 0.8)
