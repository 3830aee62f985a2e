"""`event-counter run` and all it started, killed at once, or on a disk that fills up under load."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.settings import Settings
from app.stack.ports import free_port
from tests.support.crew import Tally
from tests.support.exactness import AWAY, Exactness
from tests.support.kafka_client import KafkaClient
from tests.support.load import Load
from tests.support.running_copy import RunningCopy, running_copy
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kill, pytest.mark.timeout(900)]  # in `make soak` one after the other
SIZE_MB = 1000
FULL_S = 20.0  # longer than anybody waits before the next attempt


class Stage:
    """What happens to a copy in one folder; copy: the one that runs."""

    def __init__(self, folder: Path, rng: random.Random, tally: Tally) -> None:
        self.folder, self.rng, self.tally = folder, rng, tally
        self.given = {"data_dir": folder / "data", "http_port": free_port(), "count_workers": 2}
        self._copies = ExitStack()

    async def start(self) -> None:
        """Start a copy, and wait until it is ready."""
        self.copy: RunningCopy = self._copies.enter_context(running_copy(**self.given))
        await self.copy.ready()

    def end(self) -> None:
        """Kill what is left."""
        self._copies.close()

    async def ready_is(self, status: int, deadline_s: float) -> None:
        """Wait for an answer of GET /ready."""

        async def asked() -> int:
            async with (
                aiohttp.ClientSession(self.copy.url) as http,
                http.get("/ready") as answer,
            ):
                return answer.status

        await wait_until(asked, status, passing=AWAY, deadline_s=deadline_s)


async def everything_is_killed_at_once(stage: Stage) -> None:
    before = settings_of(stage.given)
    stage.tally.kills += len(stage.copy.family())
    stage.copy.kill_everything()
    await stage.start()
    assert settings_of(stage.given) == before, "the same addresses"


async def the_disk_is_full_for_a_while(stage: Stage) -> None:
    filler = stage.folder / "filler"
    await asyncio.to_thread(fill, filler)
    stage.tally.outages += 1
    await stage.ready_is(503, deadline_s=60)
    await asyncio.sleep(stage.rng.uniform(0, FULL_S))
    filler.unlink()
    await stage.ready_is(200, deadline_s=120)


HAPPENINGS = everything_is_killed_at_once, the_disk_is_full_for_a_while


def settings_of(given: dict[str, Any]) -> Settings:
    """Return what a running copy works with."""
    facts = json.loads((Path(given["data_dir"]) / "run.json").read_text("utf-8"))
    found = {name: facts[name] for name in ("kafka", "postgres", "redis")}
    return Settings.model_validate({**given, **found})


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path | None]:
    """Yield a file system of its own; None where this account may not mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    size = f"size={SIZE_MB}m"
    mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]
    done = subprocess.run(mount, capture_output=True, check=False)
    if done.returncode:
        yield None
        return
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file: Path) -> None:
    """Write until there is no room left."""
    with file.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(bytes(65_536))


async def test_a_copy_goes_on_where_it_was(
    tally: Tally, tmp_path: Path, small: Path | None, soaking: bool
) -> None:
    rng = random.Random(tally.seed)
    places = dict(zip(HAPPENINGS, (tmp_path, small), strict=True))
    possible = [happening for happening, place in places.items() if place is not None]
    for happens in possible if soaking else [rng.choice(possible)]:
        stage = Stage(places[happens] or tmp_path, rng, tally)
        try:
            await check(stage, happens)
        finally:
            stage.end()
    tally.exact = True


async def check(stage: Stage, happens: Callable[[Stage], Awaitable[None]]) -> None:
    """Let it happen under load; then compare all that stores hold with what `events` has."""
    await stage.start()
    settings = settings_of(stage.given)
    async with Load(stage.rng, settings.kafka, "events", stage.copy.url, rate=150) as load:
        await load.sent(stage.rng.randrange(300, 1200))
        await happens(stage)
        await load.sent(300)
        async with KafkaClient(settings.kafka) as kafka:
            ledger = await load.stop()
            found = await Exactness.of(settings, kafka, ledger, [stage.copy.url])
            stage.tally.events += len(found.truth.places)
            await found.everything()
    assert await stage.copy.interrupt() == 0
