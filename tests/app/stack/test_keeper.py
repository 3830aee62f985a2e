"""A process that dies is started again at once, and slower only if it keeps dying."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.errors import StartError
from app.stack.child import Child
from app.stack.keeper import Keeper, pause_before
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("quick_deaths", "pause"),
    [(0, 0.0), (1, 0.0), (2, 0.5), (3, 1.0), (4, 2.0), (6, 8.0), (7, 10.0), (5000, 10.0)],
)
def test_the_pause_grows_with_deaths_in_a_row(quick_deaths: int, pause: float) -> None:
    assert pause_before(quick_deaths) == pause


async def test_a_process_that_ends_is_started_again(tmp_path: Path) -> None:
    child = Child("sleeper", tmp_path, tmp_path / "log")
    said: list[str] = []

    async def start() -> None:
        child.spawn(["/bin/sleep", "60"])

    await start()
    keeper = Keeper(child, start, said.append)
    task = asyncio.create_task(keeper.run())
    first = child.pid
    child.kill()
    await wait_until(lambda: child.pid not in (0, first), expected=True)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await child.stop(5)
    assert keeper.restarts == 1
    assert said[0] == "sleeper ended with -9; starting it again"


async def test_a_start_that_fails_is_tried_again(tmp_path: Path) -> None:
    child = Child("broken", tmp_path, tmp_path / "log")
    said: list[str] = []

    async def start() -> None:
        raise StartError("not today")

    keeper = Keeper(child, start, said.append)
    task = asyncio.create_task(keeper.run())
    await wait_until(lambda: keeper.restarts, lambda count: count >= 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "broken: not today" in said
