"""`event-counter run` and all it started, killed at once under load, and started again."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.stack.ports import free_port
from tests.support.crew import Tally
from tests.support.exactness import Exactness
from tests.support.kafka_client import KafkaClient
from tests.support.load import Load
from tests.support.running_copy import running_copy

pytestmark = pytest.mark.kill


def settings_of(given: dict[str, Any]) -> Settings:
    """Return what a running copy works with."""
    facts = json.loads((Path(given["data_dir"]) / "run.json").read_text("utf-8"))
    found = {name: facts[name] for name in ("kafka", "postgres", "redis")}
    return Settings.model_validate({**given, **found})


async def test_everything_killed_at_once_goes_on_where_it_was(tally: Tally, tmp_path: Path) -> None:
    rng = random.Random(tally.seed)
    given = {"data_dir": tmp_path / "data", "http_port": free_port(), "count_workers": 2}
    with running_copy(**given) as first:
        await first.ready()
        settings = settings_of(given)
        async with Load(rng, settings.kafka, "events", first.url, rate=150) as load:
            await load.sent(rng.randrange(300, 1200))
            tally.kills = len(first.family())
            first.kill_everything()
            with running_copy(**given) as second:
                await second.ready()
                assert settings_of(given) == settings, "the same addresses"
                await load.sent(300)
                async with KafkaClient(settings.kafka) as kafka:
                    ledger = await load.stop()
                    found = await Exactness.of(settings, kafka, ledger, [second.url])
                    tally.events = len(found.truth.places)
                    await found.everything()
                tally.exact = True
                assert await second.interrupt() == 0
