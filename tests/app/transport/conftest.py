"""A BatchConsumer without a broker: its thread is replaced, everything else is the real thing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP
from mode import Service

from app.events.records import Batch
from app.transport import BatchConsumer, BatchTransport, PromptTableManager, batch_scheduler

SOURCE = TP("source", 0)
COMMITTED = 100


class ScriptedThread(Service):
    """Answers the consumer as the consumer thread would, and remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.seeks: list[int] = []
        self.commits: list[int] = []
        self.log_start, self.log_end = 0, 1000
        self.committed: int | None = COMMITTED
        self.before_seek: Callable[[], Any] | None = None
        self.assigned: set[Any] = {SOURCE}
        self.rejoins = asyncio.Semaphore(0)
        self.group_generation = 0

    async def call_thread(self, method: Callable[..., Any], *args: Any) -> Any:
        result = method(*args)
        return await result if asyncio.iscoroutine(result) else result

    async def seek_batches(self, *_args: Any) -> tuple[dict[Any, int | None], dict[Any, int]]:
        if self.before_seek is not None:
            await self.before_seek()
        start = self.log_start if self.committed is None else self.committed
        return {SOURCE: self.committed}, {SOURCE: start}

    def seek(self, _tp: TP, offset: int) -> None:
        self.seeks.append(offset)

    async def commit(self, offsets: dict[Any, int]) -> bool:
        self.commits.append(offsets[SOURCE])
        return True

    async def earliest_offsets(self, *tps: TP) -> dict[Any, int]:
        return dict.fromkeys(tps, self.log_start)

    async def highwaters(self, *tps: TP) -> dict[Any, int]:
        return dict.fromkeys(tps, self.log_end)

    def highwater(self, _tp: TP) -> int:
        return 0

    def assignment(self) -> set[Any]:
        return self.assigned

    def rejoin(self) -> None:
        self.rejoins.release()

    def generation(self) -> int:
        return self.group_generation


class ThreadlessConsumer(BatchConsumer):
    """BatchConsumer whose thread is scripted."""

    def _new_consumer_thread(self) -> Any:
        return ScriptedThread()


class ThreadlessTransport(BatchTransport):
    """Makes ThreadlessConsumers."""

    Consumer = ThreadlessConsumer


class Delivery:
    """A consumer, the messages that its stream received, and what it crashed with."""

    def __init__(self, consumer: BatchConsumer, thread: ScriptedThread) -> None:
        self.consumer, self.thread = consumer, thread
        self.messages: list[Any] = []
        self.crashes: list[BaseException] = []

    async def receive(self, message: Any) -> None:
        self.messages.append(message)

    async def crash(self, exc: BaseException) -> None:
        self.crashes.append(exc)

    async def open(self) -> None:
        """Open the gate as after a rebalance."""
        await self.consumer.perform_seek()
        self.consumer.resume_flow()

    async def revoke(self) -> None:
        """Take the partition away, as the begin of a rebalance does."""
        await self.consumer.on_partitions_revoked({SOURCE})

    async def assign(self, *, generations: int = 1) -> None:
        """Give it (back), so many generations later."""
        self.thread.group_generation += generations
        await self.consumer.on_partitions_assigned({SOURCE})
        self.consumer.reassigned()

    async def deliver(
        self, first: int, end: int, *, after: int | None = None, gate: int | None = None
    ) -> None:
        """Offer a batch of the offsets [first, end); after: fetch position behind it."""
        batch = Batch(record(offset) for offset in range(first, end))
        batch.before, batch.after = first, end if after is None else after
        batch.gate = self.consumer.gate if gate is None else gate
        batch.lag = 0
        await self.consumer._deliver(SOURCE, batch)

    def take(self, index: int) -> None:
        """The stream takes a message."""
        self.messages[index].tracked = True

    def acknowledge(self, index: int) -> None:
        """The agent takes and acknowledges a message."""
        self.take(index)
        self.messages[index].refcount = 1
        self.messages[index].ack(self.consumer)

    @property
    def delivered_to(self) -> list[int]:
        """Return the last offset of each delivered batch."""
        return [int(message.offset) for message in self.messages]


def record(offset: int) -> Any:
    """Return the part of an aiokafka record that the transport reads."""
    return SimpleNamespace(
        topic=SOURCE.topic,
        partition=SOURCE.partition,
        offset=offset,
        timestamp=1000,
        timestamp_type=0,
        value=b"x",
    )


@pytest.fixture
async def delivery() -> Delivery:
    """Return a consumer of one batch topic whose group has committed offset 100."""
    app = faust.App(
        "test",
        broker="kafka://nowhere",
        ConsumerScheduler=batch_scheduler({"source"}),
        TableManager=PromptTableManager,
        topic_disable_leader=True,
    )
    app.transport = ThreadlessTransport(app.conf.broker_consumer, app)
    app.topics._acking_topics.add("source")
    consumer = app.transport.create_consumer(
        callback=_nothing, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing
    )
    made = Delivery(consumer, consumer._thread)
    consumer.callback, consumer.crash = made.receive, made.crash
    app._consumer = consumer
    app.producer.flush = _nothing
    return made


async def _nothing(*_: Any) -> None:
    """There is no producer to flush, and no app that partitions are taken from."""
