"""What Postgres remembers of the log of `events`: how far it is stored, and of which cluster."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from app.errors import StartError, UnavailableError
from app.stores.postgres import Postgres
from app.stores.sql import load_queries

log = logging.getLogger(__name__)

# Events, ever.
STORED = "select coalesce(sum(stored), 0)::bigint from sink_offsets where topic = $1"
TIMEOUT_S = 5.0  # Postgres may be away: nothing that takes events waits for it


class Range(Protocol):
    """A log: its first offset, and the one behind its last."""

    @property
    def begin(self) -> int:
        """The first offset that is left."""

    @property
    def end(self) -> int:
        """The offset behind the last one."""


class StoredPositions:
    """Remembers what the store has stored; knows the cluster that it came from."""

    name = "Postgres"

    def __init__(self, dsn: str, topic: str, cluster: Callable[[], Awaitable[str]]) -> None:
        """cluster: returns the id of the Kafka cluster that is connected now."""
        self._postgres = Postgres(dsn, "event-counter positions")
        self._topic, self._cluster = topic, cluster
        self._sql = load_queries()

    async def positions(self) -> dict[int, int]:
        """Return the next offset to store by partition; raise PostgresUnavailableError."""
        return {partition: offset for partition, offset, _ in await self._stored()}

    async def check(self, logs: Mapping[int, Range]) -> None:
        """Raise StartError where another cluster has records of its own.

        A log that is new is filled up, and goes on where the one of the other cluster ended.
        """
        cluster = await self._cluster()
        try:
            stored = await self._stored()
        except UnavailableError:
            return  # what it remembers is not known either
        for partition, offset, before in stored:
            found = logs.get(partition)
            if found is None or before in ("", cluster) or offset <= 0:
                continue
            if found.begin < found.end and found.begin < offset:
                raise StartError(
                    f"Postgres has events of Kafka cluster {before}, and this one, {cluster}, has "
                    f"{found.end - found.begin} records of its own in {self._topic}-{partition}. "
                    "Give the former EVENT_COUNTER_KAFKA again; or count these anew under another "
                    "EVENT_COUNTER_NAMESPACE with an empty database; or delete the topic "
                    f"{self._topic} there and start again, which goes on with what Postgres has"
                )

    async def accept(self) -> None:
        """Note that the offsets go on in the cluster that is connected now."""
        cluster = await self._cluster()
        try:
            if all(before in ("", cluster) for _, _, before in await self._stored()):
                return
            async with self._postgres.transaction(TIMEOUT_S) as connection:
                await connection.execute(self._sql["event_offset.accept"], self._topic, cluster)
        except UnavailableError as exc:
            log.warning(
                "Postgres has not been told yet that this is another Kafka cluster: %s", exc
            )
        finally:
            self._postgres.close()

    async def _stored(self) -> list[tuple[int, int, str]]:
        try:
            async with self._postgres.transaction(TIMEOUT_S) as connection:
                rows = await connection.fetch(self._sql["past.stored"], self._topic)
        finally:
            self._postgres.close()  # it is asked rarely
        return [(row["partition"], row["next_offset"], row["cluster"]) for row in rows]
