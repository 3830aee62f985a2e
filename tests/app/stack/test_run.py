"""`event-counter run` from the outside: what it starts, keeps running, and leaves behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from app.stack.ports import free_port
from tests.support.running_copy import RunningCopy, is_gone, running_copy
from tests.support.waiting import wait_until

CLICK = {"type": "CLICK", "url": "https://www.example.net"}
AWAY = (aiohttp.ClientError, OSError)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield an HTTP client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def click(http: aiohttp.ClientSession, copy: RunningCopy) -> None:
    """Send one click; it is in Kafka afterwards."""
    async with http.put(f"{copy.url}/event_generate/", json=CLICK) as answer:
        assert (answer.status, await answer.text()) == (200, "OK")


async def clicks(http: aiohttp.ClientSession, copy: RunningCopy) -> Any:
    """Return how many clicks the tables hold."""
    async with http.post(f"{copy.url}/event_track/", json={"url": CLICK["url"]}) as answer:
        return (await answer.json()).get("events", [{"count": answer.status}])[0]["count"]


def on_its_own(folder: Path, name: str = "data") -> dict[str, Any]:
    """Return settings of a copy that starts all its parts."""
    return {"data_dir": folder / name, "http_port": free_port()}


async def test_a_copy_goes_on_where_it_stopped_whatever_ended_it(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    given = on_its_own(tmp_path)
    with running_copy(**given) as copy:
        await copy.ready()
        await click(http, copy)
        await wait_until(lambda: clicks(http, copy), 1)
        addresses = copy.status()["kafka"], copy.status()["postgres"], copy.status()["redis"]
        family = copy.family()
        assert len(family) >= 8, "run, Kafka, Postgres, Redis, four workers"
        assert await copy.interrupt() == 0
        assert [process for process in family if not is_gone(process)] == []
    with running_copy(**given) as copy:
        await copy.ready()
        await click(http, copy)
        family = copy.family()
        copy.kill_everything()
        await wait_until(lambda: all(is_gone(process) for process in family), expected=True)
    with running_copy(**given) as copy:
        await copy.ready()
        found = copy.status()
        assert (found["kafka"], found["postgres"], found["redis"]) == addresses
        await wait_until(lambda: clicks(http, copy), 2, deadline_s=20)
        await wait_until(lambda: copy.status()["stored"], 2, deadline_s=20)
        await wait_until(lambda: set(all_lags(copy)), {0}, deadline_s=20)
        assert copy.status()["counted"] == 2
        assert await copy.interrupt(signal.SIGTERM) == 0


def all_lags(copy: RunningCopy) -> list[int]:
    """Return the lag of every partition of every group."""
    return [lag for places in copy.status()["lag"].values() for lag in places.values()]


async def test_only_the_supervisor_killed_leaves_nothing_and_blocks_nothing(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    given = on_its_own(tmp_path)
    with running_copy(**given) as copy:
        await copy.ready()
        family = copy.family()
        copy.kill()
    with running_copy(**given) as copy:  # at once: the old workers may be about to end
        await copy.ready()
        assert [process for process in family if not is_gone(process)] == []
        await click(http, copy)


async def test_whatever_dies_is_started_again(
    http: aiohttp.ClientSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_copy(**on_its_own(tmp_path)) as copy:
        await copy.ready()
        for name in ("count-1", "store-1", "archive-1", "collect-1", "redis", "postgres", "kafka"):
            before = copy.pid_of(name)
            os.kill(before, signal.SIGKILL)
            killed = time.monotonic()
            await wait_until(lambda: copy.pid_of(name) not in (0, before), expected=True)  # noqa: B023
            with capsys.disabled():
                print(f"\n{name} is back {time.monotonic() - killed:.2f} s after kill -9", end="")  # noqa: T201
        await wait_until(lambda: try_another(http, copy), 200, deadline_s=60, passing=AWAY)
        await click(http, copy)
        await wait_until(lambda: clicks(http, copy), 1, deadline_s=60, passing=AWAY)
        await wait_until(lambda: copy.status()["stored"], lambda n: n and n >= 2, deadline_s=30)
        restarts = {unit["name"]: unit["restarts"] for unit in copy.status()["processes"]}
        assert all(count for name, count in restarts.items() if name != "run"), restarts


async def try_another(http: aiohttp.ClientSession, copy: RunningCopy) -> int:
    """Return the status of a click elsewhere; one that is refused may be stored all the same."""
    other = {**CLICK, "url": "https://www.example.net/other"}
    async with http.put(f"{copy.url}/event_generate/", json=other) as answer:
        return answer.status


async def test_two_copies_run_side_by_side_and_share_nothing(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with (
        running_copy(**on_its_own(tmp_path, "one")) as one,
        running_copy(**on_its_own(tmp_path, "two"), count_workers=2) as two,
    ):
        await one.ready()
        await two.ready()
        await click(http, one)
        for _ in range(2):
            await click(http, two)
        await wait_until(lambda: clicks(http, one), 1)
        await wait_until(lambda: clicks(http, two), 2)
        names = {unit["name"] for unit in two.status()["processes"]}
        assert {"count-1", "count-2"} <= names
        for copy in (one, two):
            assert await copy.interrupt() == 0


async def test_what_is_configured_is_used_and_left_alone(
    http: aiohttp.ClientSession, tmp_path: Path, settings_of_a_copy: dict[str, Any]
) -> None:
    with running_copy(**settings_of_a_copy) as copy:
        await copy.ready()
        await click(http, copy)
        await wait_until(lambda: clicks(http, copy), 1)
        found = copy.status()
        assert {unit["name"] for unit in found["processes"]} == {
            "run",
            "count-1",
            "store-1",
            "archive-1",
            "collect-1",
        }
        assert found["kafka"] == settings_of_a_copy["kafka"]
        await copy.interrupt()
        assert [child for child in psutil.Process().children() if "java" in child.name()]
    assert not (tmp_path / "data/kafka").exists()


async def test_the_kind_answer_to_a_signal_while_it_starts_is_to_stop(tmp_path: Path) -> None:
    with running_copy(**on_its_own(tmp_path)) as copy:
        await wait_until(copy.said, lambda text: "postgres is up" in text, deadline_s=30)
        family = copy.family()
        assert await copy.interrupt() == 0
        assert [process for process in family if not is_gone(process)] == []
