"""Partitions that are revoked in the middle of a recovery: nothing of it enters the next one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP

from app.transport import BatchTransport, PromptTableManager, batch_scheduler
from tests.app.transport.conftest import ScriptedThread, ThreadlessConsumer

CHANGELOG = TP("test-t-changelog", 0)
ENDS = range(100, 1001, 100)  # last offsets of the fetches that a recovery reads
SLOW = 40  # turns of the loop that a message takes, so that the queue is full


class FetchingThread(ScriptedThread):
    """Fetches the changelog from a position on, message by message."""

    def __init__(self, consumer: Any) -> None:
        super().__init__()
        self._consumer, self.position = consumer, 0
        self.assigned = {CHANGELOG}

    async def fetch(self, active: Any, gate: int, *_: Any) -> dict[Any, Any]:
        assert active == {CHANGELOG}
        while gate == self._consumer.gate and self._consumer.flow_active:
            if ends := [end for end in ENDS if end > self.position]:
                self.position = ends[0]
                return {CHANGELOG: [changelog_record(ends[0])]}
            await asyncio.sleep(0)
        return {}


class FetchingConsumer(ThreadlessConsumer):
    """BatchConsumer that fetches by FetchingThread."""

    def _new_consumer_thread(self) -> Any:
        return FetchingThread(self)


class FetchingTransport(BatchTransport):
    """Makes FetchingConsumers."""

    Consumer = FetchingConsumer


class Recovering:
    """Faust's own fetcher, conductor and recovery of a table, whose rows are kept in a list."""

    def __init__(self) -> None:
        self.app = app = faust.App(
            "test",
            broker="kafka://nowhere",
            ConsumerScheduler=batch_scheduler({"source"}, {CHANGELOG.topic}),
            TableManager=PromptTableManager,
            store="memory://",
            topic_disable_leader=True,
            topic_allow_declare=False,
            stream_buffer_maxsize=4,
            stream_wait_empty=True,
        )
        app.transport = FetchingTransport(app.conf.broker_consumer, app)
        app.producer.flush = app.producer.buffer.wait_until_ebb = _nothing
        self.table = app.Table(
            "t",
            partitions=1,
            recovery_buffer_size=2,
            on_changelog_event=_slow,
            changelog_topic=app.topic(
                CHANGELOG.topic, key_serializer="raw", value_serializer="raw", partitions=1
            ),
        )
        self.table.apply_changelog_batch = self._apply
        self.table.on_rebalance = self._moved
        self.applied: list[int] = []
        self.waiting = 0  # events that were not applied yet when partitions moved
        app._consumer = self.consumer = app.transport.create_consumer(
            callback=app.topics.on_message,
            on_partitions_revoked=self._revoked,
            on_partitions_assigned=_nothing,
        )
        app.assignor.assigned_actives = lambda: {CHANGELOG}
        app.assignor.assigned_standbys = set
        self.table.persisted_offset = lambda _tp: max(self.applied, default=0)
        self.recovery = app.tables.recovery

    def _apply(self, events: list[Any]) -> None:
        self.applied += [event.message.offset for event in events]

    async def _moved(self, *_: Any) -> None:
        self.waiting += len(self.recovery.buffers[self.table])

    async def _revoked(self, revoked: Any) -> None:
        """As the app's."""
        self.app.tables.on_partitions_revoked(revoked)

    async def assign(self, generation: int) -> None:
        """Give the partition, and begin to read where the table ends, as Faust does."""
        self.app.consumer_generation_id = generation
        await self.consumer.on_partitions_assigned({CHANGELOG}, generation)
        await self.app.topics.on_partitions_assigned({CHANGELOG})
        await self.app.tables.on_rebalance({CHANGELOG}, set(), {CHANGELOG}, generation)
        self.recovery.signal_recovery_start.clear()
        self.recovery._set_recovery_started()
        self.consumer._thread.position = self.recovery.active_offsets[CHANGELOG]
        self.consumer._read_offset[CHANGELOG] = self.consumer._thread.position
        self.consumer.resume_partitions({CHANGELOG})
        self.app.flow_control.resume()
        self.consumer.resume_flow()

    def work(self) -> list[Any]:
        """Return what fetches, and what recovers."""
        fetcher = SimpleNamespace(_stopped=asyncio.Event())
        recover = type(self.recovery)._slurp_changelogs.fun
        return [self.consumer._drain_messages(fetcher), recover(self.recovery)]


async def turn(times: int) -> None:
    """Let the loop turn."""
    for _ in range(times):
        await asyncio.sleep(0)


async def _nothing(*_: Any, **__: Any) -> None:
    """There is no broker."""


async def _slow(_event: Any) -> None:
    await turn(SLOW)


def changelog_record(offset: int) -> Any:
    """Return a record of the changelog."""
    tp = CHANGELOG._asdict()
    return SimpleNamespace(**tp, offset=offset, timestamp=1000, timestamp_type=0, value=b"x")


@pytest.mark.parametrize("generations", [0, 1], ids=["same generation", "next generation"])
async def test_a_revoked_recovery_leaves_no_row_out_of_the_next(generations: int) -> None:
    """In each turn of the loop: Faust may be about to wait for room in the full queue."""
    for turns in range(2 * SLOW):
        scene = await revoked_after(turns, generations)
        applied = scene.applied
        assert set(applied) == set(ENDS), turns
        assert not scene.waiting, "the partition may be somebody else's by now"
        for index, end in enumerate(applied):
            assert end == ENDS[0] or end - 100 in applied[:index], (turns, applied)


async def revoked_after(turns: int, generations: int) -> Recovering:
    """Revoke the partition after some turns, give it again, and return when it is recovered."""
    scene = Recovering()
    await scene.app.tables._update_channels()
    await scene.assign(1)
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(one) for one in scene.work()]
        await turn(turns)
        await scene.consumer.on_partitions_revoked({CHANGELOG})
        await turn(20)  # others join
        await scene.assign(1 + generations)
        async with asyncio.timeout(10):
            while scene.recovery.active_offsets[CHANGELOG] < ENDS[-1]:
                await turn(1)
        scene.recovery.flush_buffers()
        for task in work:
            task.cancel()
    return scene
