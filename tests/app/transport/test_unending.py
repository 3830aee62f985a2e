"""A task that a leaked cancel ends takes the worker with it: else everything waits for it."""

from __future__ import annotations

import asyncio

from mode import Service

from app.settings import Settings
from app.transport.unending import Unending
from app.wiring.faust_app import faust_app
from tests.app.transport.conftest import Delivery


class Standing(Unending):
    """Its task is cancelled by what it awaits, or goes on."""

    def __init__(self, *, leaks: bool) -> None:
        super().__init__()
        self._leaks, self.begun = leaks, asyncio.Event()

    @Service.task
    async def _work(self) -> None:
        self.begun.set()
        awaited = asyncio.get_running_loop().create_future()
        if self._leaks:
            awaited.cancel()
        await awaited


async def test_a_task_that_is_cancelled_by_what_it_awaits_crashes_the_service() -> None:
    service = Standing(leaks=True)
    async with asyncio.timeout(10):
        await service.start()
        await service.wait_for_stopped(asyncio.Event())
    assert "_work was cancelled" in str(service.crash_reason)


async def test_a_stop_that_cancels_a_task_is_no_crash() -> None:
    service = Standing(leaks=False)
    await service.start()
    await service.begun.wait()
    await service.stop()
    assert service.crash_reason is None


async def test_the_consumer_and_the_recovery_of_tables_are_such_services(
    delivery: Delivery, settings: Settings
) -> None:
    assert isinstance(delivery.consumer, Unending)
    assert isinstance(faust_app(settings, "g", 1, "127.0.0.1").tables.recovery, Unending)
