"""A whole copy on servers of others: TLS and a password everywhere; killed, and started again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.settings import Settings
from app.stack.ports import free_port
from tests.support.crew import Tally
from tests.support.database import Database
from tests.support.exactness import AWAY, Exactness
from tests.support.kafka_client import KafkaClient
from tests.support.load import Load
from tests.support.running_copy import ROOT, command_line, running_copy
from tests.support.secured import (
    PASSWORD,
    USER,
    Authority,
    SecuredKafka,
    SecuredPostgres,
    SecuredRedis,
)
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kill, pytest.mark.timeout(900)]  # starts three servers, twice a copy
COUNTERS = ROOT / "docs/start/counters.web.toml"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1"
VIEW = {
    "type": "VIEW",
    "url": "/a?utm_campaign=spring&utm_source=mail",
    "referrer": "https://News.example/b",
}
VIEWS = [VIEW | {"user_agent": agent} for agent in (CHROME, CHROME, IPHONE)]
OF_VIEWS = {
    "web_browsers?key=Chrome": {"": 2},
    "web_devices?key=desktop": {"Windows": 2},
    "web_devices?key=mobile": {"iOS": 1},
    "web_referrers?key=news.example": {"": 3},
    "web_campaigns?key=spring": {"mail": 3},
}
PLAIN = """
select count(*) from pg_stat_ssl join pg_stat_activity using (pid)
 where not ssl and application_name like 'event-counter%'
"""


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[dict[str, Any], str]]:
    """Yield the settings of a copy, and the address at which the test itself reaches Kafka."""
    authority = Authority(tmp_path / "authority")
    kafka = SecuredKafka(tmp_path / "kafka", authority)
    postgres = SecuredPostgres(tmp_path / "postgres", authority)
    redis = SecuredRedis(tmp_path / "redis", authority)
    starts = kafka.broker.start(), postgres.start(), redis.start()
    _, postgres_url, redis_url = await asyncio.gather(*starts)
    yield (
        {
            "kafka": kafka.sasl,
            "kafka_security": "SASL_SSL",
            "kafka_user": USER,
            "kafka_password": PASSWORD,
            "kafka_ca": str(authority.ca),
            "postgres": postgres_url,
            "redis": redis_url,
            "data_dir": tmp_path / "data",
            "http_port": free_port(),
            "counters": str(COUNTERS),
        },
        kafka.plain,
    )
    redis.child.kill()
    await postgres.part.stop()
    await kafka.broker.stop()


def told(folder: Path) -> str:
    """Return all that a copy and its workers wrote."""
    files = [*folder.parent.glob("*.out"), *(folder / "logs").iterdir()]
    return "\n".join(file.read_text("utf-8", "replace") for file in files)


async def of_views(url: str) -> dict[str, Any]:
    """Return what the copy has counted by what the views say of their visitors."""
    found = {}
    async with aiohttp.ClientSession() as http:
        for question in OF_VIEWS:
            async with http.get(f"{url}/counts/{question}") as answer:
                found[question] = (await answer.json()).get("total", answer.status)
    return found


async def visit(url: str) -> None:
    """Send the views, and wait until they are counted."""
    async with aiohttp.ClientSession() as http, http.post(f"{url}/events", json=VIEWS) as answer:
        assert (await answer.json())["accepted"] == len(VIEWS)
    await wait_until(lambda: of_views(url), OF_VIEWS, passing=AWAY)


async def test_a_copy_on_secured_servers_is_exact_after_a_kill(
    tally: Tally, servers: tuple[dict[str, Any], str]
) -> None:
    given, plain = servers
    rng = random.Random(tally.seed)
    settings = Settings.model_validate(given)
    with running_copy(**given) as first:
        await first.ready()
        async with Load(rng, plain, "events", first.url, rate=150) as load:
            await load.sent(rng.randrange(300, 1200))
            tally.kills = len(first.family())
            first.kill_everything()
            with running_copy(**given) as second:
                await second.ready()
                await load.sent(300)
                async with KafkaClient(plain) as kafka:
                    ledger = await load.stop()
                    found = await Exactness.of(settings, kafka, ledger, [second.url])
                    tally.events = len(found.truth.places)
                    await found.everything()
                tally.exact = True
                database = Database(given["postgres"])
                assert await database.fetch(PLAIN) == [(0,)]
                status, audited = await asyncio.gather(
                    asyncio.to_thread(second.status),
                    asyncio.to_thread(command_line, "audit", **given),
                )
                assert status["stored"] == tally.events
                assert audited.returncode == 0, audited.stdout + audited.stderr
                await visit(second.url)
                rebuilt = command_line("rebuild", "tables", **given)
                assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
                await wait_until(lambda: of_views(second.url), OF_VIEWS, passing=AWAY)
                assert await second.interrupt() == 0
    text = told(Path(given["data_dir"])) + audited.stderr + rebuilt.stderr
    secrets = (PASSWORD, SecuredRedis.password, settings.postgres.get_secret_value().split(":")[2])
    assert [secret for secret in secrets if secret.split("@")[0] in text] == []
