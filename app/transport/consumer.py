"""The consumer: when batches may be delivered, and what may be committed."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, ClassVar

from aiokafka import errors
from faust.agents import current_agent
from faust.exceptions import ImproperlyConfigured
from faust.transport.consumer import ensure_TP
from mode import Service

from app.events.records import Batch
from app.transport.batch import BatchRecord
from app.transport.fetching import FetchThread
from app.transport.keeping import KeepingConsumer
from app.transport.progress import PositionError, Progress
from app.transport.unending import PromptTableManager, Unending

NEEDS = "the batch transport needs stream_wait_empty=True and TableManager=PromptTableManager"


class BatchConsumer(Unending, KeepingConsumer):
    """Delivers batches through a gate, and commits the acknowledged prefix.

    The gate opens with resume_flow() after the seek of this generation, and closes with the next
    revocation or stop: Faust resumes the partitions before that seek, and then empties the queues
    of all streams once more.
    """

    fatal: ClassVar = (
        errors.GroupAuthorizationFailedError,
        errors.TopicAuthorizationFailedError,
        errors.UnsupportedVersionError,
    )
    max_coordinator_errors = 10

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: dict[Any, Progress] | None = None
        self._origin: dict[Any, int] = {}
        self._failed: BaseException | None = None
        self.newest_ms = 0  # the latest Kafka timestamp that was delivered
        super().__init__(*args, **kwargs)
        self._topics = self.scheduler.batch_topics
        conf = self.app.conf
        self.finish_timeout = conf.broker_session_timeout / 2
        if not (conf.stream_wait_empty and issubclass(conf.TableManager, PromptTableManager)):
            raise ImproperlyConfigured(NEEDS)

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)

    async def fail(self, exc: BaseException) -> None:
        """Stop the worker; nothing is committed or delivered any more."""
        self._failed = self._failed or exc
        self._halt()
        self._close()
        await self.crash(exc)

    def _halt(self) -> None:
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()

    def _close(self) -> int:
        self.gate += 1
        self._open = self._seeked = None
        self._kept = frozenset()
        return self.gate

    # -- opening and closing ------------------------------------------------------------

    async def seek_to_committed(self) -> Any:
        """Seek; the partitions open with the resume_flow() that follows."""
        if self.is_outdated():  # what it would find is for the next recovery to judge
            return {}
        self._kept, gate, self.refused = self._kept, self._close(), ""
        committed, start = await self._thread.call_thread(
            self._thread.seek_batches, self._topics, self._origin
        )
        assigned = {ensure_TP(tp) for tp in self.assignment()}
        if gate != self.gate or await self.lacks_changelogs(assigned):
            return committed  # the gate stays closed
        settled = await self.settle({ensure_TP(tp): at for tp, at in committed.items()}, start)
        if settled is None:
            return committed  # the gate stays closed
        for tp in [tp for tp, offset in settled.items() if offset != start[tp]]:
            await self._thread.call_thread(self._thread.seek, tp, settled[tp])
        if gate == self.gate and not self.is_outdated():
            self._seeked = {tp: Progress(offset) for tp, offset in settled.items()}
            self.started_at = settled
        return committed

    def resume_flow(self) -> None:
        """Open the gate, when the seek of this generation is done.

        Not in the middle of a rebalance, as a recovery that does not know of it yet would: what is
        fetched then is dropped, and after the seek of the next recovery nobody reads it again.
        """
        if self._failed or self.is_outdated():
            return
        super().resume_flow()
        if self._seeked is not None:
            self._open, self._seeked, self._settled = self._seeked, None, frozenset()

    async def _seek(self, partition: Any, offset: int) -> None:
        await self._thread.call_thread(self._thread.seek, partition, offset)
        tp = ensure_TP(partition)
        if self._open and tp in self._open:
            self._open[tp] = Progress(offset)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Commit what is done and close the gate, before super() forgets the offsets."""
        self._is_rebalancing = True
        if not self.should_stop:
            self._halt()
            if revoked:
                await self._finish()
        self._close()
        self._origin = {}
        await super().on_partitions_revoked(revoked)

    async def wait_empty(self) -> None:
        """Commit what is done before the stop."""
        await self._finish()
        ours = {m for m in self._unacked_messages if m.topic in self._topics}
        self._unacked_messages -= ours
        # Else it would only wait for a commit in flight, which comes to nothing behind the gate.
        if self._unacked_messages or self._filter_tps_with_pending_acks():
            await super().wait_empty()

    async def _finish(self) -> None:
        """Wait for running batches, commit, close; later acknowledgements do not count."""
        end = monotonic() + self.finish_timeout
        try:
            while self._busy() and monotonic() < end and not self._failed:
                await asyncio.wait_for(self._call_tables("before_release"), self.finish_timeout)
                await asyncio.sleep(0.005)
            if self._open and not self._failed:
                async with asyncio.timeout(self.finish_timeout):
                    for _ in range(2):  # False: perhaps somebody else was just committing
                        if await self.commit():
                            break
                self._settled = frozenset(self.settled())
        except Exception as exc:  # noqa: BLE001 - fail() was told; here only the gate must close
            self.log.warning("last commit failed, batches will be read again: %r", exc)
        finally:
            self._close()

    def _busy(self) -> bool:
        return any(progress.busy() for progress in (self._open or {}).values())

    # -- delivery -----------------------------------------------------------------------

    async def _wait_next_records(self, timeout: float) -> Any:
        if self.app.client_only:
            return await super()._wait_next_records(timeout)
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        gate = self._fetching = self.gate
        live = self._get_active_partitions()
        active = frozenset(live)  # it changes while we wait; an empty one would fetch everything
        if self._open is None:  # recovery: nothing but changelogs of active partitions
            actives = self.app.assignor.assigned_actives()
            active &= {tp for tp in actives if self._is_changelog_tp(tp)}
        if not active:
            await self.sleep(0.02)
            return None, live  # for {} Faust would seek, where the flow has stopped
        records = await self._thread.call_thread(
            self._thread.fetch, active, gate, timeout, self._topics
        )
        for tp in [tp for tp, value in records.items() if isinstance(value, Batch)]:
            await self._deliver(ensure_TP(tp), records.pop(tp))
        if not self.flow_active or gate != self.gate:
            return None, live  # every stop of the flow is followed by a seek
        return records, live

    async def _deliver(self, tp: Any, batch: Batch) -> None:
        progress = (self._open or {}).get(tp)
        if progress is None or batch.gate != self.gate or not self.flow_active:
            return  # read again after the seek
        if batch.before != progress.next and not await self._misplaced(tp, progress, batch):
            return
        progress.next, progress.misses = batch.after, 0
        if batch:
            self.newest_ms = max(self.newest_ms, batch[-1].timestamp)
        else:
            progress.flying.append((None, batch.after))
            return
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        message = self._to_message(tp, BatchRecord(batch))
        progress.flying.append((message, batch.after))
        await self._put(message, progress, batch)

    async def _put(self, message: Any, progress: Progress, batch: Batch) -> None:
        """Hand over; a full queue blocks, a stop of the flow or a cancel rolls back."""
        put = asyncio.ensure_future(self.callback(message))
        stop = asyncio.ensure_future(self.suspend_flow.wait())
        try:
            await asyncio.wait({put, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if put.cancel() or put.exception():
                progress.flying.pop()
                progress.next = batch.before
                message.generation_id = None  # a task of Faust's may put it in all the same
        if put.done():
            put.result()

    def on_buffer_full(self, tp: Any) -> None:
        """Leave batch partitions alone: put() blocks, and parking costs pauses of 1 s."""
        if tp.topic not in self._topics:
            super().on_buffer_full(tp)

    # -- commit -------------------------------------------------------------------------

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> list[Any]:
        pending = super()._filter_tps_with_pending_acks(topics)
        plain = [tp for tp in pending if tp.topic not in self._topics]
        ours = (
            tp for tp in self._open or () if topics is None or tp in topics or tp.topic in topics
        )
        return [*plain, *ours]

    def _new_offset(self, tp: Any) -> Any:
        if tp.topic not in self._topics:
            return super()._new_offset(tp)
        # Filled by the acknowledging code that is inlined in Faust's streams; not needed.
        self._acked.pop(tp, None)
        self._acked_index.pop(tp, None)
        progress = (self._open or {}).get(tp)
        if progress is None or self._failed:
            return None
        try:
            return progress.advance()
        except PositionError as exc:
            self._failed = exc
            raise

    async def _handle_attached(self, commit_offsets: Any) -> None:
        """Runs when the offsets are chosen and before they are committed."""
        try:
            await self.keep_positions(commit_offsets)
            await self._call_tables("before_commit")
        except Exception as exc:
            await self.fail(exc)
            raise
        await super()._handle_attached(commit_offsets)

    async def _call_tables(self, hook: str) -> None:
        for table in list(self.app.tables.values()):
            if hasattr(table, hook):
                await getattr(table, hook)()

    async def on_task_error(self, exc: BaseException) -> None:
        """Stop, for an agent of a batch topic: called before its stream would acknowledge."""
        agent = current_agent()
        if agent is None or self._topics.intersection(getattr(agent.channel, "topics", None) or ()):
            await self.fail(exc)
        else:
            await super().on_task_error(exc)

    @Service.task
    async def _watch_coordinator(self) -> None:
        failed = 0
        async for _ in self.itertimer(1.0, name="watch_coordinator"):
            try:
                await self._thread.call_thread(self._thread.check_coordinator)
                failed = 0
            except errors.KafkaError as exc:
                failed += 1
                self.log.warning("group coordinator: %r", exc)
                if isinstance(exc, self.fatal) or failed >= self.max_coordinator_errors:
                    await self.fail(exc)
