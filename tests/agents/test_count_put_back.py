"""Role count where Kafka has lost a commit: what was judged is not judged again.

What was rejected is rejected again, where Kafka has lost that, too.
"""

from __future__ import annotations

import json

import aiohttp
import pytest

from app.events.derived import AD_CLICK
from app.names import Names
from app.settings import Settings
from tests.conftest import MakeSettings, StartWorker
from tests.support.batches import events
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

CLICKS, BAD = 12, 6
THIRDS = {f"ad-{number}": 1 for number in range(2, CLICKS, 3)}


@pytest.fixture
async def settings(make_settings: MakeSettings) -> Settings:
    """Return the Settings of a worker that commits soon: the test waits for each commit."""
    return await make_settings(commit_interval_s=0.2)


@pytest.mark.parametrize("put_back", [0, 1, 2])
async def test_a_commit_that_was_put_back_makes_no_other_click_the_third(
    put_back: int, kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    worker = await start_worker(settings, "count")

    async def counted() -> dict[str, int]:
        found: dict[str, int] = {}
        async with aiohttp.ClientSession(worker.url) as http:
            for ad in (f"ad-{number}" for number in range(CLICKS)):
                async with http.get(f"/counts/counted_clicks_by_ad_daily?key={ad}") as answer:
                    found[ad] = sum((await answer.json())["total"].values())
        return {ad: count for ad, count in found.items() if count}

    async def committed() -> int:
        return (await kafka.committed(topics.count_group, topics.events)).get(0, 0)

    for number in range(CLICKS):  # each is committed before the next one, so rules forget
        click = {"type": AD_CLICK, "user_id": "u", "ad_id": f"ad-{number}"}
        bad = [b"no event"] * (number == BAD)
        await kafka.send(topics.events, [*bad, *events([number], **click)], 0)
        await wait_until(committed, number + 1 + (number >= BAD))
    await wait_until(counted, THIRDS)
    await worker.stop()
    await kafka.delete_before(topics.rejected, {0: 1})
    await kafka.put_back(topics.count_group, topics.events, {0: put_back})
    worker.start()
    await worker.ready()
    await wait_until(committed, CLICKS + 1)
    await wait_until(counted, THIRDS)
    (rejected,) = await kafka.values(topics.rejected)
    assert json.loads(rejected)["offset"] == BAD
