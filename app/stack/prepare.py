"""What must exist before a worker starts: topics, and the schema of the database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import asyncpg
from redis.exceptions import RedisError

from app.errors import KafkaUnavailableError, StartError, reason
from app.kafka.mending import FilledGap
from app.kafka.tables_version import current_version
from app.kafka.topics import ensure_topics
from app.settings import Settings
from app.stack.log_mending import events_mender
from app.stores import sql
from app.stores.connect import redis_client
from app.stores.postgres import PASSING, postgres_needed
from app.stores.refusals import refused_by_postgres, refused_by_redis

RETRY_S = 1.0
STARTING_S = 120.0
REDIS_S = 5.0

log = logging.getLogger(__name__)


async def prepare_worker(settings: Settings) -> None:
    """Make the topics; for role store also the schema, waiting for Postgres and saying so.

    Raises StartError when Kafka is away: whoever supervises the worker starts it again.
    """
    await prepare_topics(settings)
    if settings.role == "count":
        await check_redis(settings)
    said = False
    while settings.role == "store":
        try:
            await prepare_database(settings)
        except PASSING as exc:
            if not said:
                log.warning("Postgres is away, waiting for it: %s", reason(exc))
            said = True
            await asyncio.sleep(RETRY_S)
        else:
            break
    await prepare_logs(settings)


async def prepare_logs(settings: Settings) -> list[FilledGap]:
    """Fill up `events` where it is shorter than what somebody has read; return what was.

    Raises StartError where Kafka is another one, with records of its own, or is away.
    """
    try:
        return await (await events_mender(settings)).mend()
    except KafkaUnavailableError as exc:
        raise StartError(f"{exc}. Check EVENT_COUNTER_KAFKA") from exc


async def prepare_topics(settings: Settings) -> list[str]:
    """Make the missing topics, of the tables that count now; return their names.

    Raises StartError where Kafka is away, or a topic is not as it must be.
    """
    try:
        version = await current_version(settings)
    except KafkaUnavailableError as exc:
        raise StartError(
            f"Cannot prepare the topics on Kafka at {settings.kafka}: {exc}. "
            "Check EVENT_COUNTER_KAFKA"
        ) from exc
    return await ensure_topics(settings, version)


async def prepare_database(settings: Settings) -> None:
    """Bring the schema up to date, and the view human_event to the settings.

    Raises StartError where Postgres will not do, else OSError or asyncpg.PostgresError.
    """
    dsn = settings.postgres.get_secret_value()
    try:
        await sql.check_encoding(dsn)
        await sql.migrate(dsn)
        await sql.keep_bot_limit(dsn, settings.bot_limit if settings.statistics else None)
    except (OSError, asyncpg.PostgresError) as exc:
        if text := refused_by_postgres(exc):
            raise StartError(text) from exc
        raise


async def wait_for_database(settings: Settings, progress: Callable[[str], None]) -> None:
    """As prepare_database(), but wait for a Postgres that is starting, and raise StartError."""
    until = time.monotonic() + STARTING_S
    with postgres_needed():
        while True:
            try:
                return await prepare_database(settings)
            except asyncpg.CannotConnectNowError as exc:
                if time.monotonic() > until:
                    raise StartError(
                        f"Postgres is not ready after {STARTING_S:.0f} s: {reason(exc)}. "
                        "Look into its log, and start again once it is"
                    ) from exc
                progress(f"waiting for Postgres: {reason(exc)}")
            await asyncio.sleep(RETRY_S)


async def check_redis(settings: Settings) -> None:
    """Raise StartError where Redis will not do; nothing waits for one that is away."""
    if not (url := settings.redis.get_secret_value()):
        return
    client = redis_client(url, REDIS_S)
    try:
        found = await client.info("cluster")
    except (RedisError, OSError) as exc:
        if text := refused_by_redis(exc):
            raise StartError(text) from exc
        return
    finally:
        await client.aclose()
    if found.get("cluster_enabled"):
        raise StartError(
            "EVENT_COUNTER_REDIS is a Redis Cluster. All counts are written in one transaction: "
            "use a Redis without cluster mode"
        )
