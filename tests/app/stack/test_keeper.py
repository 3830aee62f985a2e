"""A process that dies is started again at once, and slower only if it keeps dying."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka.errors import KafkaConnectionError
from redis.exceptions import BusyLoadingError

from app.errors import StartError
from app.names import Names
from app.settings import Settings
from app.stack import keeper
from app.stack.child import Child
from app.stack.keeper import Keeper, pause_before
from app.stack.watch import Watch
from tests.conftest import StartWorker
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("quick_deaths", "pause"),
    [(0, 0.0), (1, 0.0), (2, 1.0), (3, 2.0), (4, 4.0), (6, 16.0), (7, 30.0), (5000, 30.0)],
)
def test_the_pause_grows_with_deaths_in_a_row(quick_deaths: int, pause: float) -> None:
    assert pause_before(quick_deaths) == pause


async def test_a_process_that_ends_is_started_again(tmp_path: Path) -> None:
    child = Child("sleeper", tmp_path, tmp_path / "log")
    said: list[str] = []

    async def start() -> None:
        child.spawn(["/bin/sleep", "60"])

    await start()
    kept = Keeper(child, start, said.append)
    task = asyncio.create_task(kept.run())
    first = child.pid
    child.kill()
    await wait_until(lambda: child.pid not in (0, first), expected=True)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await child.stop(5)
    assert kept.restarts == 1
    assert said[0] == "sleeper ended with -9; starting it again"


async def test_a_start_that_fails_is_tried_again(tmp_path: Path) -> None:
    child = Child("broken", tmp_path, tmp_path / "log")
    said: list[str] = []

    async def start() -> None:
        raise StartError("not today")

    kept = Keeper(child, start, said.append)
    task = asyncio.create_task(kept.run())
    await wait_until(lambda: kept.restarts, lambda count: count >= 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "broken: not today; starting it again in 1.0 s" in said


@pytest.mark.parametrize(
    "error",
    [
        StartError("one\ntwo"),
        OSError(24, "Too many open files"),
        asyncpg.ConnectionDoesNotExistError("closed"),
        asyncpg.InterfaceError("closed"),
        asyncpg.InternalClientError("closed"),
        KafkaConnectionError("closed"),
        BusyLoadingError("loading"),
        psutil.AccessDenied(1),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        RuntimeError("can't start new thread"),
        AssertionError(),
    ],
)
async def test_whatever_a_start_raises_is_one_line_and_a_quick_death(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the process lives on, as one does that was not ready in time."""
    monkeypatch.setattr(keeper, "PAUSE_S", 0.01)
    child = Child("broken", tmp_path, tmp_path / "log")
    said: list[str] = []

    async def start() -> None:
        child.spawn(["/bin/sleep", "60"])
        raise error

    kept = Keeper(child, start, said.append)
    task = asyncio.create_task(kept.run())
    await wait_until(lambda: task.done() or kept.quick_deaths >= 4, expected=True)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await child.stop(5)
    assert kept.quick_deaths == kept.restarts + 1
    assert said[1].startswith("broken: ")
    assert said[1].endswith("; starting it again in 0.0 s")
    assert "\n" not in said[1]


async def test_a_process_that_hangs_is_ended_and_one_that_is_only_slow_is_not(
    tmp_path: Path,
) -> None:
    child = Child("sleeper", tmp_path, tmp_path / "log")
    child.spawn(["/bin/sleep", "60"])
    first, answers, said = child.pid, [True, False, True], list[str]()

    async def answer() -> bool:
        return answers.pop(0) if answers else False

    task = asyncio.create_task(Watch(child, answer, said.append, silent_s=0.3, every_s=0.1).run())
    await wait_until(lambda: answers, [])
    assert child.pid == first, "one answer missed"
    await wait_until(child.alive, expected=False)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert said[0].startswith("sleeper has not answered for 0 s")


async def test_a_frozen_worker_is_ended_and_started_again(
    settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    assert topics
    worker = await start_worker(settings, "collect")
    first, said, answered = worker.child.pid, list[str](), list[bool]()

    async def start() -> None:
        worker.start()

    async def is_alive() -> bool:
        answered.append(await worker.is_alive())
        return answered[-1]

    running = [
        Keeper(worker.child, start, said.append).run(),
        Watch(worker.child, is_alive, said.append, silent_s=3, every_s=0.5).run(),
    ]
    tasks = [asyncio.create_task(one) for one in running]
    await wait_until(lambda: answered, lambda found: True in found)
    os.kill(first, signal.SIGSTOP)
    await wait_until(lambda: worker.child.pid not in (0, first), expected=True, deadline_s=120)
    await worker.ready(120)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert said[0].startswith("collect-1 has not answered for ")
    assert said[1] == "collect-1 ended with -9; starting it again"


def lines_of(file: Path) -> list[int]:
    """Return the numbers in a file, one a line."""
    return [int(line) for line in file.read_text("ascii").split()]


async def test_a_log_is_rotated_while_the_process_writes_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child("counting", tmp_path, log)
    child.spawn(["/bin/sh", "-c", "n=0; while :; do n=$((n+1)); echo $n; sleep 0.001; done"])
    kept = tmp_path / "log.1"
    await wait_until(lambda: log.exists() and log.stat().st_size, lambda size: size > 500)
    child.rotate_log(max_bytes=500)
    before = lines_of(kept)
    assert before == list(range(1, len(before) + 1))
    await wait_until(lambda: len(lines_of(log)), lambda count: count > 10)
    child.kill()
    after = lines_of(log)
    assert after == list(range(after[0], after[0] + len(after))), "no holes, nothing overwritten"
    assert after[0] - before[-1] in range(1, 20), "but for the instant between"
    child.rotate_log(max_bytes=10**6)
    assert lines_of(kept) == before, "it is small"


async def test_a_keeper_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "ROTATE_S", 0.1)
    rotated = list[int]()
    child = Child("sleeper", tmp_path, tmp_path / "log")
    monkeypatch.setattr(child, "rotate_log", lambda: rotated.append(1))
    child.spawn(["/bin/sleep", "60"])
    task = asyncio.create_task(Keeper(child, asyncio.Event().wait, print).run())
    await wait_until(lambda: len(rotated), lambda count: count > 2)
    task.cancel()
    child.kill()
