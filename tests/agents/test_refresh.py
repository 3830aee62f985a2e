"""Role count keeps event_summary and Redis right, whatever happens to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis as Client

from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.postgres import LocalPostgres
from app.stack.redis import Redis
from app.stack.workers import WorkerProcess
from tests.conftest import MakeSettings, StartWorker
from tests.support.batches import events
from tests.support.database import Database
from tests.support.kafka_client import KafkaClient
from tests.support.readiness import away_seconds, state_of
from tests.support.waiting import wait_until

URLS = 20


class Counting:
    """A count worker, with a Redis and a Postgres of its own."""

    def __init__(self, folder: Path, settings: Settings, kafka: KafkaClient) -> None:
        self.redis = Redis(folder / "redis", folder / "redis.log")
        self.postgres = LocalPostgres(folder / "postgres", folder / "postgres.log")
        self.settings, self._kafka = settings, kafka
        self.sent = 0
        self.worker: WorkerProcess

    async def click(self, times: int = 1) -> None:
        """Send clicks for each url."""
        topic = Names(self.settings.namespace).events
        for _ in range(times):
            for number in range(URLS):
                await self._kafka.send(topic, events([self.sent], url=f"/{number}"))
            self.sent += 1

    async def in_tables(self) -> int:
        """Return the clicks of one url as the worker answers them."""
        url = f"{self.worker.url}/event_track/"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json={"url": "/7"}) as answer,
        ):
            return int((await answer.json())["events"][0]["count"])

    async def in_redis(self) -> list[int]:
        """Return the clicks of all urls."""
        async with Client.from_url(self.redis.address) as client:
            keys = [f"event_counter:url:/{number}" for number in range(URLS)]
            return [int(await client.hget(key, "CLICK") or 0) for key in keys]

    async def in_summary(self) -> list[int]:
        """Return the clicks of all urls."""
        rows = await Database(self.postgres.address).fetch(
            "select sum(count)::int from event_summary group by url"
        )
        return [row[0] for row in rows]

    async def all_right(self, deadline_s: float = 10) -> None:
        """Wait until tables, Redis and event_summary show all that was sent."""
        passing = (Exception,)
        expected = [self.sent] * URLS
        await wait_until(self.in_tables, self.sent, deadline_s=deadline_s, passing=passing)
        await wait_until(self.in_redis, expected, deadline_s=deadline_s, passing=passing)
        await wait_until(self.in_summary, expected, deadline_s=deadline_s, passing=passing)


@pytest.fixture
async def counting(
    kafka: KafkaClient, make_settings: MakeSettings, start_worker: StartWorker, tmp_path: Path
) -> AsyncIterator[Counting]:
    """Return a worker that shows its first click everywhere."""
    counting = Counting(tmp_path, await make_settings(summary_interval_s=0.5), kafka)
    redis, postgres = await counting.redis.start(), await counting.postgres.start()
    counting.settings = await make_settings(
        summary_interval_s=0.5,
        redis=redis,
        postgres=postgres,
        namespace=counting.settings.namespace,
    )
    await ensure_topics(counting.settings)
    counting.worker = await start_worker(counting.settings, "count")
    await counting.click()
    await counting.all_right()
    yield counting
    await counting.worker.stop()
    await counting.redis.stop()
    await counting.postgres.stop()


async def test_a_flushed_redis_is_filled_again(counting: Counting) -> None:
    async with Client.from_url(counting.redis.address) as client:
        await client.flushall()
    await wait_until(counting.in_redis, [1] * URLS)  # without a new event


async def test_nothing_else_notices_a_redis_that_is_away(counting: Counting) -> None:
    await counting.redis.stop()
    await counting.click(3)
    await wait_until(counting.in_tables, 4)
    await wait_until(counting.in_summary, [4] * URLS)
    await counting.redis.start()
    await counting.all_right()


async def test_counting_goes_on_while_postgres_is_away(counting: Counting) -> None:
    await counting.postgres.stop()
    await counting.click(3)
    await wait_until(counting.in_tables, 4)
    await wait_until(counting.in_redis, [4] * URLS)
    await counting.postgres.start()
    await counting.all_right()


async def test_redis_is_asked_between_two_refreshes_that_are_far_apart(
    make_settings: MakeSettings, start_worker: StartWorker, tmp_path: Path
) -> None:
    redis = Redis(tmp_path / "redis", tmp_path / "redis.log")
    settings = await make_settings(redis=await redis.start(), redis_interval_s=3600)
    await ensure_topics(settings)
    worker = await start_worker(settings, "count")
    log = tmp_path / "logs" / f"{worker.name}.log"
    before = log.read_text().count("Redis is away")
    await redis.stop()
    await wait_until(lambda: state_of(worker), ("degraded", {"redis"}))
    await wait_until(lambda: away_seconds(worker, "redis"), lambda seconds: seconds > 2)
    await redis.start()
    await wait_until(lambda: state_of(worker), ("ready", set()))
    assert log.read_text().count("Redis is away") == before + 1
    await worker.stop()
    await redis.stop()


async def test_both_are_right_after_all_died_at_once(counting: Counting) -> None:
    await counting.click(5)
    await asyncio.sleep(0.3)  # in the middle of some refresh
    counting.worker.child.kill()
    counting.redis.child.kill()
    counting.postgres.child.kill()
    await counting.redis.start()
    await counting.postgres.start()
    counting.worker.start()
    await counting.all_right(deadline_s=40)
