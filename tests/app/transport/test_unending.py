"""A task that a leaked cancel ends takes the worker with it: else everything waits for it."""

from __future__ import annotations

import asyncio

import pytest
from mode import Service

from app.settings import Settings
from app.transport.unending import Unending
from app.wiring.faust_app import faust_app
from tests.app.transport.conftest import Delivery


class Standing(Unending):
    """Its task is cancelled by what it awaits, returns, or goes on."""

    def __init__(self, fate: str) -> None:
        super().__init__()
        self._fate, self.begun = fate, asyncio.Event()

    @Service.task
    async def _work(self) -> None:
        self.begun.set()
        awaited = asyncio.get_running_loop().create_future()
        if self._fate == "was cancelled":
            awaited.cancel()
        elif self._fate == "has ended":
            return
        await awaited


class Ending:
    """An app that was told to stop."""

    should_stop = True


@pytest.mark.parametrize("fate", ["was cancelled", "has ended"])
async def test_a_task_that_ends_by_itself_crashes_the_service(fate: str) -> None:
    service = Standing(fate)
    async with asyncio.timeout(10):
        await service.start()
        await service.wait_for_stopped(asyncio.Event())
    assert f"_work {fate}" in str(service.crash_reason)


async def test_work_that_is_passing_may_end() -> None:
    service = Standing("goes on")
    await service.start()
    await service.add_future(asyncio.sleep(0))
    assert not service.should_stop
    await service.stop()


async def test_a_stop_that_cancels_a_task_is_no_crash() -> None:
    service = Standing("goes on")
    await service.start()
    await service.begun.wait()
    await service.stop()
    assert service.crash_reason is None


async def test_the_consumer_and_the_recovery_of_tables_are_such_services(
    delivery: Delivery, settings: Settings
) -> None:
    assert isinstance(delivery.consumer, Unending)
    assert isinstance(faust_app(settings, "g", 1, "127.0.0.1").tables.recovery, Unending)


async def test_a_cancel_while_the_app_ends_is_no_crash() -> None:
    service = Standing("was cancelled")
    service.app = Ending()
    await service.start()
    await service.begun.wait()
    await asyncio.sleep(0)
    assert service.crash_reason is None
    await service.stop()
