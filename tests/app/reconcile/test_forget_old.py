"""Task forget_old: what the setting says, and nothing that a counter still needs."""

from __future__ import annotations

import random

import agents.forget_old
from tests.support.forgotten_months import Months, random_event


async def test_old_months_go_by_themselves(months: Months) -> None:
    rng = random.Random(2)
    await months.store([random_event(rng) for _ in range(60)])
    said = await months.figures()
    settings = months.settings.model_copy(update={"raw_retention_days": 1})
    assert await agents.forget_old.run(settings, "event") == 0
    assert await agents.forget_old.run(settings, "archive") == 0
    (left,) = await months.database.fetch("select count(*) as n from event")
    assert left["n"] == 0, "all of them are older than any counter needs"
    # No counter of a counters.toml is declared in Kafka.
    assert await months.figures() | {"own": said["own"]} == said
