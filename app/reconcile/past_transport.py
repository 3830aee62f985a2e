"""The batch transport of a worker that counts the past: from Postgres first, then from Kafka.

Offsets are those of `events`, so progress, commits, replays and rebalances stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiokafka import TopicPartition

from app.reconcile.past_events import PastReader
from app.transport import BatchConsumer, BatchTransport
from app.transport.fetching import FetchThread


class PastThread(FetchThread):
    """Fetches a partition of `events` from event up to where that ends, and then from Kafka."""

    async def seek_batches(
        self, topics: Collection[str], origin: dict[Any, int]
    ) -> tuple[dict[Any, int], dict[Any, int]]:
        """As FetchThread; without a committed offset a partition of `events` begins at 0."""
        past, consumer = self.transport.past, self._ensure_consumer()
        async with past.lock:
            await past.open()
            ours = [tp for tp in consumer.assignment() if tp.topic == past.topic]
            for tp in ours:
                origin.setdefault(tp, 0)
            committed, start = await super().seek_batches(topics, origin)
            for tp in ours:
                at = past.positions[tp.partition] = start[tp]
                # Where Kafka goes on; what it has deleted is not asked for.
                part = TopicPartition(tp.topic, tp.partition)
                consumer.seek(part, max(at, past.ends.get(tp.partition, 0)))
        return committed, start

    async def fetch(
        self,
        active: frozenset[Any],
        gate: int,
        timeout: float,  # noqa: ASYNC109 - the signature is Faust's
        topics: Collection[str],
    ) -> dict[Any, Any]:
        """As FetchThread, with a batch of the past while there are some."""
        past = self.transport.past
        waiting = sorted(tp for tp in active if tp.topic == past.topic and past.has(tp.partition))
        if not waiting:
            return await super().fetch(active, gate, timeout, topics)
        others = active - frozenset(waiting)
        records = await super().fetch(others, gate, 0.0, topics) if others else {}
        async with past.lock:
            if gate == self.consumer.gate and past.has(waiting[0].partition):
                records[waiting[0]] = await past.next(waiting[0].partition, gate)
        return records


class PastConsumer(BatchConsumer):
    """Stops where Kafka deleted records that are not stored: nothing may be left out."""

    skip_deleted = False

    async def look_at_edges(self, idle: Any) -> None:
        """Postgres has what Kafka has deleted."""

    def _new_consumer_thread(self) -> PastThread:
        return PastThread(self, loop=self.loop, beacon=self.beacon)


class PastTransport(BatchTransport):
    """past: what it reads first."""

    Consumer = PastConsumer
    past: PastReader


def past_transport(app: Any, past: PastReader) -> PastTransport:
    """Return the transport for an app that has a batch transport."""
    transport = PastTransport(app.conf.broker_consumer, app)
    transport.past = past
    transport.batch_pause_s, transport.contact = app.transport.batch_pause_s, app.transport.contact
    # Who begins with these tables looks for the rows. The other hooks look at Kafka's log, which
    # begins where it likes.
    transport.hooks.keep_position = app.transport.hooks.keep_position
    return transport
