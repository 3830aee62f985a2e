"""What must exist before a worker starts: topics, and the schema of the database."""

from __future__ import annotations

import asyncio
import logging

import asyncpg

from app.errors import KafkaUnavailableError, StartError, reason
from app.kafka.tables_version import current_version
from app.kafka.topics import ensure_topics
from app.settings import Settings
from app.stores import sql

RETRY_S = 1.0

log = logging.getLogger(__name__)


async def prepare_worker(settings: Settings) -> None:
    """Make the topics; for role store also the schema, waiting for Postgres and saying so.

    Raises StartError when Kafka is away: whoever supervises the worker starts it again.
    """
    await prepare_topics(settings)
    said = False
    while settings.role == "store":
        try:
            await prepare_database(settings)
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as exc:
            if not said:
                log.warning("Postgres is away, waiting for it: %s", reason(exc))
            said = True
            await asyncio.sleep(RETRY_S)
        else:
            break


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

    Raises OSError or asyncpg.PostgresError.
    """
    dsn = settings.postgres.get_secret_value()
    await sql.migrate(dsn)
    await sql.keep_bot_limit(dsn, settings.bot_limit if settings.statistics else None)
