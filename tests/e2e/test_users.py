"""Active users and ads, through three real count workers, equal to an independent count."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.kafka import Kafka
from app.stack.ports import free_port
from app.stack.postgres import DATABASE, LocalPostgres
from app.stack.workers import WorkerProcess, worker_settings
from tests.support.database import Database
from tests.support.forked import ForkedWorker
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@cache
def now() -> datetime:
    """Return when the first of these tests began: a run may be long, and a month may end."""
    return datetime.now(UTC).replace(microsecond=0)


def earlier() -> datetime:
    """Return a moment of which the seconds are kept."""
    return now() - timedelta(minutes=40)


def last_month() -> datetime:
    """Return a moment in it."""
    return now().replace(day=1) - timedelta(days=10)


def month(moment: datetime) -> str:
    """Return the month as answers name it."""
    return f"{moment:%Y-%m}"


class Users:
    """Three count workers, and what is sent to them."""

    def __init__(
        self,
        settings: Settings,
        kafka: KafkaClient,
        http: aiohttp.ClientSession,
        workers: list[WorkerProcess],
    ) -> None:
        self.settings, self.database = settings, Database(settings.postgres.get_secret_value())
        self.workers = workers
        self._topic, self._kafka, self._http = Names(settings.namespace).events, kafka, http

    async def send(
        self, users: Sequence[str | None], at: datetime | None = None, **fields: str
    ) -> None:
        """Send an event of each user, spread over the partitions."""
        for partition in range(self.settings.events_partitions):
            events = [
                {
                    "type": "page_view",
                    "user_id": user,
                    "timestamp": (at or now()).isoformat(),
                    **fields,
                }
                for user in users[partition :: self.settings.events_partitions]
            ]
            values = [json.dumps(event).encode() for event in events]
            await self._kafka.send(self._topic, values, partition)

    async def ask(self, path: str, worker: int = 0) -> Any:
        """Return the answer of a worker."""
        async with self._http.get(self.workers[worker].url + path) as answer:
            return await answer.json()

    async def active(self, window: int, at: datetime | None = None) -> list[int]:
        """Return the active users as each worker answers."""
        moment = f"&at={at:%Y-%m-%dT%H:%M:%SZ}" if at else ""
        path = f"/stats/active_users?window={window}{moment}"
        return [(await self.ask(path, n))["active_users"] for n in range(len(self.workers))]

    async def months(self) -> list[tuple[Any, ...]]:
        """Return the rows of ad_month."""
        rows = await self.database.fetch(
            "select month, ad_id, impressions, visitors, final from ad_month order by 1, 2"
        )
        return [tuple(row) for row in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def users(
    kafka_part: Kafka, postgres_part: LocalPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Users]:
    """Yield three ready workers; the tests keep out of each other's windows and months."""
    folder = tmp_path_factory.mktemp("users")
    admin = await asyncpg.connect(postgres_part.address)
    await admin.execute("create database users")
    settings = Settings(
        kafka=kafka_part.address,
        postgres=postgres_part.address.removesuffix(DATABASE) + "users",
        namespace="users.",
        data_dir=folder,
        summary_interval_s=0.3,
    )
    await ensure_topics(settings)
    workers: list[WorkerProcess] = [
        ForkedWorker(worker_settings(settings, "count", name, free_port()), folder / f"{name}.log")
        for name in ("count-1", "count-2", "count-3")
    ]
    for worker in workers:
        worker.start()
    async with KafkaClient(settings.kafka) as kafka, aiohttp.ClientSession() as http:
        await asyncio.gather(*(worker.ready() for worker in workers))
        yield Users(settings, kafka, http, workers)
    for worker in workers:
        worker.child.kill()
    await admin.execute("drop database users with (force)")
    await admin.close()


async def test_active_users_of_any_window(users: Users) -> None:
    seconds, minutes, hours = (timedelta(seconds=10), timedelta(hours=3), timedelta(days=3))
    await users.send(["a", "b", "a", None, ""], earlier())
    await users.send(["b", "c"], earlier() - seconds)
    await users.send(["c", "d"], earlier() - minutes)
    await users.send(["d", "e"], earlier() - hours)
    for window, count in {10: 2, 11: 3, 3600: 3, 4 * 3600: 4, 4 * 86_400: 5}.items():
        await wait_until(partial(users.active, window, earlier()), [count] * 3)
    await wait_until(partial(users.active, 10, earlier() - seconds), [2] * 3)
    assert await users.active(5, earlier() - timedelta(seconds=1)) == [0] * 3
    assert await users.ask(f"/stats/active_users?at={earlier():%Y-%m-%dT%H:%M:%SZ}") == {
        "window_s": 300,
        "active_users": 3,
        "error": 0.0,
    }


async def test_many_users_are_estimated_within_the_stated_error(users: Users) -> None:
    many = 50_000
    for part in range(2):  # each is seen twice, on two partitions
        names = [f"user {number + part}" for number in range(many)]
        await users.send(names, now() - timedelta(seconds=part))

    async def is_near() -> bool:
        found = await users.ask(f"/stats/active_users?window=600&at={now():%Y-%m-%dT%H:%M:%SZ}")
        error: float = found["error"]
        return 0.02 < error < 0.04 and abs(found["active_users"] - many) < 2 * error * many

    await wait_until(is_near, True, deadline_s=30)  # noqa: FBT003


async def test_ads_of_two_months_over_http_and_in_postgres(users: Users) -> None:
    this, last = month(now()), month(last_month())
    impression = partial(users.send, type="AdImpression", url="google.com/kill")
    await impression(["a", "b", "a", None], ad_id="34")
    await impression(["b", "c"], ad_id="ü/35")
    await impression(["a"], last_month(), ad_id="34")
    await users.send(["a", "a"], type="AdClick", url="google.com/kill", ad_id="34")
    await users.send(["a"], type="AdClick", url="google.com/kill", ad_id="36")
    both = {"month": this, "impressions": 6, "visitors": 3, "final": False}
    for worker in range(3):
        await wait_until(partial(users.ask, "/stats/ads", worker), both)
    one = {"month": last, "ad_id": "34", "impressions": 1, "visitors": 1, "clicks": 0}
    path = f"/stats/ads/34?month={last}"
    for worker in range(3):
        await wait_until(
            partial(users.ask, path, worker), {**one, "counted_clicks": [], "final": True}
        )
    then = f"at={last_month():%Y-%m-%dT%H:%M:%SZ}"  # when that month was not over
    assert await users.ask(f"/stats/ads/34?{then}") == {**one, "counted_clicks": [], "final": False}
    assert (await users.ask(f"/stats/ads/34?month={this}&{then}"))["final"] is False
    # Each ad is a row of its own, which may be merged later than the sum.
    one = {"month": this, "ad_id": "34", "impressions": 4, "visitors": 2, "clicks": 2}
    await wait_until(
        partial(users.ask, "/stats/ads/34"), {**one, "counted_clicks": [], "final": False}
    )
    other = partial(users.ask, "/stats/ads/%C3%BC%2F35")
    await wait_until(other, lambda answer: answer["visitors"] == 2)
    nothing = {"ad_id": "none", "impressions": 0, "visitors": 0, "clicks": 0, "counted_clicks": []}
    assert await users.ask("/stats/ads/none") == {"month": this, **nothing, "final": False}
    rows = [(this, "34", 4, 2, False), (this, "ü/35", 2, 2, False)]
    await wait_until(users.months, [(last, "34", 1, 1, True), *rows])

    # A late event corrects the month that is over; what Postgres lost comes back.
    await impression(["z"], last_month(), ad_id="34")
    await wait_until(users.months, [(last, "34", 2, 2, True), *rows])
    await users.database.fetch("update ad_month set final = false")
    await wait_until(users.months, [(last, "34", 2, 2, True), *rows])
    await users.database.fetch("truncate ad_month, ad_month_positions")
    await wait_until(users.months, [(last, "34", 2, 2, True), *rows])
