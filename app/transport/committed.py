"""A consumer that knows what is committed, which Faust's does not: it notes what it tried to."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from faust.transport.drivers import aiokafka as driver

from app.lasting import patiently

# The gate in which the commit of this task chose its offsets. Others may be on their way.
_chosen_in: ContextVar[int] = ContextVar("chosen_in")


class PartitionsMovedError(RuntimeError):
    """Partitions moved since a commit chose its offsets."""


class CommittedConsumer(driver.Consumer):
    """Base of the batch consumer; gate: the generation, started_at: where its seek went.

    _fetching: the generation of what is fetched, and handed over message by message then.
    hanging: what does not end, for GET /ready.
    """

    commit_slow_s = 20.0  # until it is looked at, and between looks; a killed broker takes 10 s
    hopeless = 4  # looks at a Kafka that is well; slow machines need some time

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.gate = self._fetching = 0
        self.started_at: dict[Any, int] = {}
        self._committed_to: dict[Any, tuple[int, int]] = {}
        self.hanging = ""
        self._well_for = 0
        super().__init__(*args, **kwargs)

    async def fail(self, exc: BaseException) -> None:
        """Stop the worker."""
        raise NotImplementedError

    def _to_message(self, tp: Any, record: Any) -> Any:
        """As Faust's, with the gate: members may join again without a new generation of Kafka's."""
        message: Any = super()._to_message(tp, record)
        message.gate = self._fetching
        return message

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002
        """Commit, however long it takes: a slow Kafka is no fault of the worker's.

        Stop the worker where Kafka is well and a commit does not end all the same: after a broker
        died, one was seen to wait for ever, and all later ones with it.
        """
        work = super().commit(topics, start_new_transaction)
        try:
            return bool(await patiently(work, self.commit_slow_s, self._gives_up))
        except TimeoutError as exc:
            if not self.should_stop:
                await self.fail(exc)
            return False
        finally:
            self.hanging, self._well_for = "", 0

    async def _gives_up(self, waited_s: float) -> bool:
        """Whether a new start would heal a commit that does not end."""
        problem = await self.transport.hooks.diagnose()
        self.hanging = f"a commit has not ended in {waited_s:.0f} s: {problem or 'Kafka is well'}"
        self.log.warning("%s", self.hanging)
        self._well_for = 0 if problem else self._well_for + 1
        return self._well_for >= self.hopeless

    async def maybe_wait_for_commit_to_finish(self) -> bool:
        """As Faust's, but who gives up ends nothing of the other's: its lock would be lost."""
        if self._commit_fut is None:
            return False
        await asyncio.shield(self._commit_fut)
        return True

    async def _commit_tps(self, tps: Any, start_new_transaction: bool) -> bool:  # noqa: FBT001
        """As Faust's; False where partitions move before Kafka is asked."""
        _chosen_in.set(self.gate)
        try:
            return bool(await super()._commit_tps(tps, start_new_transaction))
        except PartitionsMovedError:
            return False

    async def _commit(self, offsets: Any) -> bool:
        """Raises PartitionsMovedError: Faust takes False for committed, and asks no more."""
        gate = self.gate
        if _chosen_in.get(gate) != gate:  # tables have forgotten what it would have to wait for
            raise PartitionsMovedError
        committed = await super()._commit(offsets)
        # In another generation a partition may be gone, and was left out without a word.
        if committed and gate == self.gate:
            self._committed_to.update({tp: (gate, offset) for tp, offset in offsets.items()})
        return bool(committed)

    def committed_to(self, tp: Any) -> int:
        """Return a position of a partition that is read: nothing below it is delivered again."""
        gate, offset = self._committed_to.get(tp, (0, 0))
        return offset if gate == self.gate else int(self.started_at.get(tp, 0))
