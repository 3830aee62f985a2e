"""The consumer thread: fetching batches together with their positions, and seeking."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from time import monotonic
from typing import Any

from aiokafka import errors
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver

from app.events.records import Batch, Record
from app.transport.leaving import leave
from app.transport.topic_ids import topic_ids

SMALL_FETCH = 1000  # records; below, the next fetch waits for the pause
# While Kafka holds back the answer for partitions without news, those that have been used up
# meanwhile cannot be asked for: one request a broker is on its way.
FETCH_WAIT_MS = 50
ASK_S = 2.0  # for a question to the coordinator; it keeps fetches and commits from their thread


class FetchThread(driver.AIOKafkaConsumerThread):
    """Runs in the consumer thread; reads the position that aiokafka itself keeps."""

    _resume_at = 0.0

    async def on_thread_stop(self) -> None:
        """End it as Faust does, but for how long the consumer may take."""
        await super(driver.AIOKafkaConsumerThread, self).on_thread_stop()
        if self._consumer is not None:
            await leave(self._consumer)

    def generation(self) -> int:
        """Return the generation of the group that the assignment is of."""
        return int(self._ensure_consumer()._coordinator.generation)

    async def fetch(
        self, active: frozenset[Any], gate: int, timeout: float, topics: Collection[str]
    ) -> dict[Any, Any]:
        """Return records by partition, those of batch topics as Batch; empty after timeout (s).

        Ends early when the gate or the flow changes. Nothing else runs between the two readings
        of a position (timeout=0), so records and position belong together.
        """
        consumer = self._ensure_consumer()
        fetcher, end = consumer._fetcher, monotonic() + timeout
        await asyncio.sleep(max(0.0, min(self._resume_at, end) - monotonic()))
        with fetcher._subscriptions.fetch_context():
            while gate == self.consumer.gate and self.consumer.flow_active:
                if consumer._closed or fetcher._closed:
                    raise errors.ConsumerStoppedError
                if fetcher._subscriptions.reassignment_in_progress:
                    # fetched_records would wait here while the positions change
                    await asyncio.sleep(0.02)
                else:
                    if records := await self._take(consumer, fetcher, active, gate, topics):
                        self._pace(records)
                        return records
                    await self._wait_for_data(fetcher, end)
                if monotonic() >= end:
                    break
        return {}

    async def _take(
        self,
        consumer: Any,
        fetcher: Any,
        active: frozenset[Any],
        gate: int,
        topics: Collection[str],
    ) -> dict[Any, Any]:
        assignment = fetcher._subscriptions.subscription.assignment
        states = {
            tp: state
            for tp in active
            if tp.topic in topics and (state := assignment.state_value(tp)) is not None
        }
        before = {tp: state._position for tp, state in states.items()}
        for tp in states:
            make_light(fetcher._records.get(tp))
        records: dict[Any, Any] = await fetcher.fetched_records(
            active, timeout=0, max_records=consumer._max_poll_records
        )
        for tp, state in states.items():
            if state._position != before[tp]:  # also without records: markers, aborted records
                batch = records[tp] = Batch(records.get(tp, ()))
                batch.before, batch.after, batch.gate = before[tp], state._position, gate
                # The end of what may be read, as the fetch that held the last record was told.
                batch.lag = max(0, (state.lso or state.highwater or 0) - batch.after)
        return records

    def _pace(self, records: dict[Any, Any]) -> None:
        """Small fetches in quick succession cost more than their events: let some gather."""
        small = sum(map(len, records.values())) < SMALL_FETCH
        self._resume_at = monotonic() + self.transport.batch_pause_s if small else 0.0

    async def _wait_for_data(self, fetcher: Any, end: float) -> None:
        waiter = fetcher._create_fetch_waiter()
        await asyncio.wait([waiter], timeout=max(0.0, end - monotonic()))
        if not waiter.cancel():
            waiter.exception()  # coordinator errors are reported by check_coordinator()

    async def seek_batches(
        self, topics: Collection[str], origin: dict[Any, int]
    ) -> tuple[dict[Any, int], dict[Any, int]]:
        """Seek to the committed offsets; return them, and the start of each batch partition.

        origin: where this assignment began in partitions without a committed offset; kept by
        the caller, so that a second seek goes back to the same place.
        """
        consumer = self._ensure_consumer()
        start: dict[Any, int] = {}
        committed: dict[Any, int] = await consumer.seek_to_committed()
        ours = {tp: offset for tp, offset in committed.items() if tp.topic in topics}
        new = [tp for tp, at in ours.items() if (at is None or at < 0) and tp not in origin]
        if new:  # one request for all: each may wait 1.5 s behind a fetch on its connection
            earliest = self.app.conf.consumer_auto_offset_reset == "earliest"
            ask = consumer.beginning_offsets if earliest else consumer.end_offsets
            origin.update(await ask(new))
        for tp, at in ours.items():
            offset = origin[tp] if at is None or at < 0 else at
            consumer.seek(tp, offset)
            start[ensure_TP(tp)] = offset
        return committed, start

    async def topic_ids(self, topics: Collection[str]) -> dict[str, bytes]:
        """As app.transport.topic_ids."""
        return await topic_ids(self._ensure_consumer()._client, topics)

    async def heartbeat(self) -> bool:
        """Return whether the coordinator still knows this member, asked now; raise KafkaError.

        False, too, where no answer comes within ASK_S: a join of others may be before it.
        """
        try:
            async with asyncio.timeout(ASK_S):
                return bool(await self._ensure_consumer()._coordinator._do_heartbeat())
        except TimeoutError:
            return False

    def verify_event_path(self, now: float, tp: Any) -> None:
        """As Faust's, which ends the worker where an offset is being reset."""
        state = self._ensure_consumer()._subscription.subscription.assignment.state_value(tp)
        if state is not None and state.has_valid_position:
            super().verify_event_path(now, tp)

    def _stopped_set(self) -> None:
        """As mode's, which would raise, and hide why the worker ends."""
        try:
            super()._stopped_set()
        except RuntimeError:  # a thread that crashed has closed its loop
            self._stopped.set()

    async def rejoin(self) -> None:
        """Join the group again; its leader makes a new assignment then."""
        self._ensure_consumer()._coordinator.request_rejoin()

    def check_coordinator(self) -> None:
        """Raise the pending error of the group coordinator.

        aiokafka stops coordinating until somebody has taken the error, and Faust never does: the
        worker would idle for ever without a word.
        """
        if self._consumer is not None and self._consumer._coordinator is not None:
            self._consumer._coordinator.check_errors()

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust offers this only together with exactly_once.
        consumer._isolation_level = transport.isolation_level
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        transport.contact.attach(consumer._client)
        return consumer


def make_light(fetched: Any) -> None:
    """Let aiokafka unpack a fetch into Records; fetched: FetchResult, FetchError or None."""
    found = getattr(fetched, "_partition_records", None)
    if found is not None:
        found._consumer_record = record_of


def record_of(tp: Any, record: Any) -> Record:
    """Return a record that aiokafka has unpacked as a Record."""
    return Record(
        tp.topic,
        tp.partition,
        record.offset,
        record.timestamp,
        record.timestamp_type,
        record.key,
        record.value,
    )
