"""`event-counter run` from the outside: what it starts, keeps running, and leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from app.stack.ports import free_port
from tests.support.running_copy import UGLY, RunningCopy, is_gone, running_copy
from tests.support.waiting import wait_until

CLICK = {"type": "CLICK", "url": "https://www.example.net"}
KEPT = "events, events-rejected, unique-event-topic"
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
    http: aiohttp.ClientSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One copy through all of its ends, and at last beside another: each start is dear."""
    given = on_its_own(tmp_path, UGLY)
    with running_copy(**given) as copy:
        await copy.ready()
        await click(http, copy)
        await wait_until(lambda: clicks(http, copy), 1)
        addresses = addresses_of(copy.status())
        family = copy.family()
        assert len(family) >= 8, "run, Kafka, Postgres, Redis, four workers"
        assert await copy.interrupt() == 0
        assert what_is_left(family) == []
    with running_copy(**given, events_retention_hours=240) as copy:
        await ready(copy, f"retention of {KEPT}: 168 h -> 240 h\n")
        await click(http, copy)
        family = copy.family()
        copy.kill_everything()
        await wait_until(lambda: what_is_left(family), [])
    with running_copy(**given) as copy:
        await ready(copy, f"retention of {KEPT}: 240 h -> 168 h\n")  # the click is younger
        assert addresses_of(copy.status()) == addresses
        await wait_until(lambda: clicks(http, copy), 2, deadline_s=20)
        await wait_until(copy.status, all_is_done(events=2), deadline_s=20)
        await whatever_dies_is_started_again(http, copy, capsys)
        family = copy.family()
        copy.kill()
    other = on_its_own(tmp_path, "other")
    with (
        running_copy(**given) as copy,  # at once: the old workers may be about to end
        running_copy(**other, count_workers=2) as second,
    ):
        await copy.ready()
        assert what_is_left(family) == []
        await click(http, copy)
        await wait_until(lambda: clicks(http, copy), 4)
        await they_share_nothing(http, copy, second)


async def ready(copy: RunningCopy, said: str) -> None:
    """Wait until it is, and has said something."""
    await copy.ready()
    assert said in copy.said()


def what_is_left(family: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run."""
    return [process for process in family if not is_gone(process)]


def addresses_of(status: dict[str, Any]) -> list[str]:
    """Return those of the servers."""
    return [status[name] for name in ("kafka", "postgres", "redis")]


def all_is_done(events: int) -> Callable[[dict[str, Any]], bool]:
    """Return what judges a status: so many events everywhere, and no group behind."""

    def judge(status: dict[str, Any]) -> bool:
        lags = {lag for places in status["lag"].values() for lag in places.values()}
        return (status["counted"], status["stored"], lags) == (events, events, {0})

    return judge


async def whatever_dies_is_started_again(
    http: aiohttp.ClientSession, copy: RunningCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kill one process after the other; two clicks are counted before, and one more afterwards."""
    names = "count-1", "store-1", "archive-1", "collect-1", "redis", "postgres", "kafka"
    for name in (*names, "fork-server"):  # all workers end with the last
        before = copy.pid_of(name)
        os.kill(before, signal.SIGKILL)
        killed = time.monotonic()
        await wait_until(lambda: copy.pid_of(name) not in (0, before), expected=True)  # noqa: B023
        with capsys.disabled():
            print(f"\n{name} is back {time.monotonic() - killed:.2f} s after kill -9", end="")  # noqa: T201
    await wait_until(lambda: try_another(http, copy), 200, deadline_s=60, passing=AWAY)
    await click(http, copy)
    await wait_until(lambda: clicks(http, copy), 3, deadline_s=60, passing=AWAY)
    found = await wait_until(copy.status, lambda s: (s["stored"] or 0) >= 4, deadline_s=30)
    restarts = {unit["name"]: unit["restarts"] for unit in found["processes"]}
    assert all(count for name, count in restarts.items() if name != "run"), restarts


async def try_another(http: aiohttp.ClientSession, copy: RunningCopy) -> int:
    """Return the status of a click elsewhere; one that is refused may be stored all the same."""
    other = {**CLICK, "url": "https://www.example.net/other"}
    async with http.put(f"{copy.url}/event_generate/", json=other) as answer:
        return answer.status


async def they_share_nothing(
    http: aiohttp.ClientSession, copy: RunningCopy, second: RunningCopy
) -> None:
    """Count in a copy that has just begun what the other one does not; end both."""
    await second.ready()
    for _ in range(2):
        await click(http, second)
    await wait_until(lambda: clicks(http, second), 2)
    assert await clicks(http, copy) == 4
    names = {unit["name"] for unit in second.status()["processes"]}
    assert {"count-1", "count-2"} <= names
    ended = copy.interrupt(signal.SIGTERM), second.interrupt()
    assert [*await asyncio.gather(*ended)] == [0, 0]


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
            "fork-server",
            "count-1",
            "store-1",
            "archive-1",
            "collect-1",
        }
        assert found["kafka"] == settings_of_a_copy["kafka"]
        for role in ("count", "store", "archive", "collect"):
            shown = " ".join(psutil.Process(copy.pid_of(f"{role}-1")).cmdline()).strip()
            assert shown.endswith(f"-m app.cli worker --role {role}")
        await copy.interrupt()
        assert [child for child in psutil.Process().children() if "java" in child.name()]
    assert not (tmp_path / "data/kafka").exists()


async def test_the_kind_answer_to_a_signal_while_it_starts_is_to_stop(tmp_path: Path) -> None:
    with running_copy(**on_its_own(tmp_path)) as copy:
        await wait_until(copy.said, lambda text: "postgres is up" in text, deadline_s=30)
        family = copy.family()
        assert await copy.interrupt() == 0
        assert what_is_left(family) == []
