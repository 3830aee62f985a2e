"""Services whose tasks go on until they are stopped."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from mode import Service
from mode.utils.queues import ThrowableQueue

LOOK_S = 1.0
STILL = "no row was recovered for {:.0f} s although Kafka is well; {} are left"
UNANSWERED = "rows that are sent again were not acknowledged for {:.0f} s although Kafka is well"


class Unending(Service):
    """A task that ends while the service goes on ends the worker, which is started again.

    mode only notes a cancelled one, on level info. Faust's recovery takes a question that Kafka has
    not answered in 90 s for a stop of the worker, and ends. What the task was to do would be waited
    for for ever.
    """

    abstract = True

    async def _execute_task(self, task: Any) -> None:
        await super()._execute_task(self._to_the_stop(task))

    async def _to_the_stop(self, task: Any) -> None:
        try:
            await task
        except asyncio.CancelledError as exc:
            if self._is_ending():
                raise
            raise RuntimeError(f"{task.__qualname__} was cancelled, and nobody meant to") from exc
        if not self._is_ending() and self._lasts(task):
            raise RuntimeError(f"{task.__qualname__} has ended, and nothing else does its work")

    def _is_ending(self) -> bool:
        """Whether it is to stop: its app ends first, for the reason that is told."""
        app = getattr(self, "app", None)
        return self.should_stop or (app is not None and app.should_stop)

    def _lasts(self, task: Any) -> bool:
        """Whether it is no passing one, added meanwhile."""
        return getattr(task, "cr_code", None) in {one.fun.__code__ for one in self._get_tasks()}


class UnendingRecovery(Unending, Recovery):
    """Faust's recovery of tables; it ends the worker, too, where it does not come nearer.

    still_s: seconds without a change although Kafka is well.
    """

    still_s = 60.0

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """As Faust's, which begins anew; it does not where another rebalance follows."""
        await super().on_rebalance(*args, **kwargs)
        if self._generation_id == self.app.consumer_generation_id:
            self.app.consumer.reassigned()

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """As Faust's; what tables would begin now after a revocation, nobody would end."""
        if not self.app.consumer.is_outdated():
            await super().on_recovery_completed(generation_id)

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        """As Faust's; a changelog that was made anew is read from its beginning."""
        ids = await consumer.topic_ids({tp.topic for tp in tps})
        for tp in tps:
            table = self.tp_to_table[tp]
            if tp.topic in ids and table.is_made_anew(tp, ids[tp.topic]):
                destination[tp] = None
        await super()._build_offsets(consumer, tps, destination, title)

    @Service.task
    async def _watch_progress(self) -> None:
        left, since = None, monotonic()
        async for _ in self.itertimer(LOOK_S, name="watch_progress"):
            now = self._left()
            if now is None or now != left:
                left, since = now, monotonic()
            elif monotonic() - since > self.still_s:
                if not await self.app.transport.hooks.diagnose():
                    raise RuntimeError(self._stands_still())
                since = monotonic()

    def _left(self) -> Any:
        """Return what changes as long as it comes nearer; None where nothing is to be done."""
        if self.in_recovery:
            return self.active_remaining()
        healing = [getattr(table, "healing", None) for table in self.tables.values()]
        return healing if any(healing) else None

    def _stands_still(self) -> str:
        if self.in_recovery:
            return STILL.format(self.still_s, self.active_remaining().total())
        return UNANSWERED.format(self.still_s)


class ChangelogQueue(ThrowableQueue):
    """Leaves out what was fetched before the flow stopped: the next recovery reads it again.

    A stop empties the queue; but what waits for room in it then, or is about to, is put in later,
    in a task of Faust's that nobody cancels. It would hide all that is below it.
    """

    def __init__(self, app: Any) -> None:
        super().__init__(
            maxsize=app.conf.stream_buffer_maxsize,
            flow_control=app.flow_control,
            clear_on_resume=True,
        )
        self._app = app

    async def get(self) -> Any:
        """Return the next event of the generation that is recovered."""
        while True:
            event = await super().get()
            if self._flow_control.is_active() and event.message.gate == self._app.consumer.gate:
                return event


class PromptTableManager(TableManager):
    """Faust's with UnendingRecovery, and without the second that it sleeps at each start."""

    _recovery: Recovery | None
    _changelog_queue: ThrowableQueue | None

    @property
    def changelog_queue(self) -> ThrowableQueue:
        """What was fetched for the recovery."""
        if self._changelog_queue is None:
            self._changelog_queue = ChangelogQueue(self.app)
        return self._changelog_queue

    @property
    def recovery(self) -> Recovery:
        """The service that fills tables from their changelogs."""
        if self._recovery is None:
            self._recovery = UnendingRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    def on_partitions_revoked(self, revoked: Any) -> None:
        """As Faust's, which leaves behind what tables still do for the last recovery."""
        if not self.app.should_stop:  # else it would be taken for done, and the flow go on
            for table in self.values():
                if hasattr(table, "give_up"):
                    table.give_up()
        super().on_partitions_revoked(revoked)

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """As Faust's; what came in after the revocation's flush goes into the stores it is of."""
        self.recovery.flush_buffers()
        await super().on_rebalance(*args, **kwargs)

    async def on_start(self) -> None:
        """Begin recovery at once."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
