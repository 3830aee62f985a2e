"""Topics of the Kafka that `run` starts follow the settings; in others' nothing is changed."""

from __future__ import annotations

from app.archive.files import Folders
from app.archive.reached import ArchiveMemory
from app.kafka.clients import KafkaClients
from app.kafka.fitting import Stored, fit_topics, shorten_topics
from app.kafka.log import KafkaLog
from app.kafka.tables_version import current_version
from app.names import Names
from app.settings import Settings
from app.stores.stored_positions import StoredPositions


async def fit_own_topics(settings: Settings) -> list[str]:
    """Change what lets no records go that somebody may have to read; return a line for each.

    Raises StartError or KafkaUnavailableError.
    """
    return await fit_topics(settings, await current_version(settings))


async def shorten_own_topics(settings: Settings) -> list[str]:
    """Shorten retentions, as above; the database has its schema, and no worker runs.

    A store or archive that is new, or was put back, reads again what followed, whatever is
    committed. Raises StartError or UnavailableError.
    """

    async def stored() -> Stored:
        names, dsn = Names(settings.namespace), settings.postgres.get_secret_value()
        log = KafkaLog(KafkaClients.of(settings))
        archive = ArchiveMemory(Folders.of(settings), names.events)
        rows = await StoredPositions(dsn, names.events, log.cluster).positions()
        return {
            names.store_group: dict.fromkeys(range(settings.events_partitions), 0) | rows,
            names.archive_group: await archive.begins(settings.events_partitions),
        }

    return await shorten_topics(settings, await current_version(settings), stored)
