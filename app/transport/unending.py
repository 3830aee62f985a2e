"""Services whose tasks go on until they are stopped."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.tables.recovery import Recovery
from mode import Service


class Unending(Service):
    """A task that ends cancelled while the service goes on ends the worker.

    mode only notes it, on level info; what the task was to do would be waited for for ever.
    """

    abstract = True

    async def _execute_task(self, task: Any) -> None:
        await super()._execute_task(self._not_cancelled(task))

    async def _not_cancelled(self, task: Any) -> None:
        try:
            await task
        except asyncio.CancelledError as exc:
            if self.should_stop:
                raise
            raise RuntimeError(f"{task.__qualname__} was cancelled, and nobody meant to") from exc


class UnendingRecovery(Unending, Recovery):
    """Faust's recovery of tables."""
