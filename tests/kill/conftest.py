"""Scenes: a load, workers that are killed under it, and the comparison afterwards."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.support.crew import Crew, Tally
from tests.support.exactness import Exactness
from tests.support.kafka_client import KafkaClient
from tests.support.load import Load
from tests.support.seeds import kill_seed
from tests.support.tallies import TALLY

RULES = str(Path(__file__).parents[1] / "data/kill_rules.toml")
MakeScene = Callable[..., Awaitable["Scene"]]


class Scene:
    """Everything that a test needs on one namespace."""

    def __init__(
        self, settings: Settings, kafka: KafkaClient, logs: Path, tally: Tally, rng: random.Random
    ) -> None:
        self.settings, self.kafka, self.tally, self.rng = settings, kafka, tally, rng
        self.names = Names(settings.namespace)
        self.crew = Crew(settings, logs, tally)

    def load(self, *, http: bool = False, **options: Any) -> Load:
        """Return a load, over HTTP too where a collector runs."""
        url = f"http://{self.settings.http_host}:{self.settings.http_port}" if http else ""
        return Load(self.rng, self.settings.kafka, self.names.events, url, **options)

    async def compare_with(self, load: Load) -> Exactness:
        """End the load and read what `events` holds."""
        ledger = await load.stop()
        found = await Exactness.of(self.settings, self.kafka, ledger, self.crew.urls)
        self.tally.events = len(found.truth.places)
        return found

    async def rebuilt(self) -> None:
        """Start the count workers again on empty disks: what is left is what Kafka has."""
        for member in self.crew.hired("count"):
            await member.leave()
        for member in self.crew.hired("count"):
            member.wipe_next()
            member.join()
        await self.crew.ready()


@pytest.fixture
def seed() -> int:
    """Return KILL_SEED, else another one in each run; a failure shows it."""
    return kill_seed()


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Return what decides when and where."""
    logging.getLogger(__name__).warning("KILL_SEED=%d", seed)  # a failure shows it
    return random.Random(seed)


@pytest.fixture
def soaking() -> bool:
    """Return whether loops run in full: in `make soak`; else each run takes other parts of them."""
    return bool(os.environ.get("SOAK"))


@pytest.fixture
def tally(request: pytest.FixtureRequest, seed: int) -> Iterator[Tally]:
    """Yield the tally of this test; the summary shows it."""
    made = Tally(request.node.name.removeprefix("test_"), seed)
    yield made
    request.node.user_properties.append((TALLY, vars(made)))  # a process of its own may run this


@pytest.fixture
async def make_scene(
    make_settings: MakeSettings, kafka: KafkaClient, tally: Tally, tmp_path: Path
) -> AsyncIterator[MakeScene]:
    """Return a factory of scenes with topics; their workers end with the test."""
    scenes: list[Scene] = []

    async def make(**changes: object) -> Scene:
        given = {"alert_rules": RULES, "summary_interval_s": 1.0}  # each end waits for a summary
        settings = await make_settings(**given | changes)
        await ensure_topics(settings)
        scene = Scene(settings, kafka, tmp_path / "logs", tally, random.Random(tally.seed))
        scenes.append(scene)
        return scene

    yield make
    for scene in scenes:
        await scene.crew.end()
