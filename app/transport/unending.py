"""Services whose tasks go on until they are stopped."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.tables.recovery import Recovery
from mode import Service


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
            if self.should_stop:
                raise
            raise RuntimeError(f"{task.__qualname__} was cancelled, and nobody meant to") from exc
        if not self.should_stop and self._lasts(task):
            raise RuntimeError(f"{task.__qualname__} has ended, and nothing else does its work")

    def _lasts(self, task: Any) -> bool:
        """Whether it is no passing one, added meanwhile."""
        return getattr(task, "cr_code", None) in {one.fun.__code__ for one in self._get_tasks()}


class UnendingRecovery(Unending, Recovery):
    """Faust's recovery of tables."""
