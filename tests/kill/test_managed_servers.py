"""A whole copy on servers of others: TLS and a password everywhere; killed, and started again."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.stack.ports import free_port
from tests.support.crew import Tally
from tests.support.database import Database
from tests.support.exactness import Exactness
from tests.support.kafka_client import KafkaClient
from tests.support.load import Load
from tests.support.running_copy import command_line, running_copy
from tests.support.secured import (
    PASSWORD,
    USER,
    Authority,
    SecuredKafka,
    SecuredPostgres,
    SecuredRedis,
)

pytestmark = [pytest.mark.kill, pytest.mark.timeout(900)]  # starts three servers, twice a copy
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
    await kafka.broker.start()
    yield (
        {
            "kafka": kafka.sasl,
            "kafka_security": "SASL_SSL",
            "kafka_user": USER,
            "kafka_password": PASSWORD,
            "kafka_ca": str(authority.ca),
            "postgres": await postgres.start(),
            "redis": await redis.start(),
            "data_dir": tmp_path / "data",
            "http_port": free_port(),
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
                assert second.status()["stored"] == tally.events
                audited = command_line("audit", **given)
                assert audited.returncode == 0, audited.stdout + audited.stderr
                rebuilt = command_line("rebuild", "tables", **given)
                assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
                assert await second.interrupt() == 0
    text = told(Path(given["data_dir"])) + audited.stderr + rebuilt.stderr
    secrets = (PASSWORD, SecuredRedis.password, settings.postgres.get_secret_value().split(":")[2])
    assert [secret for secret in secrets if secret.split("@")[0] in text] == []
