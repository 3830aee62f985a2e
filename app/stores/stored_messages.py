"""What the store remembers of message_ids, in Postgres: as it judges, so the table event says.

Read and written in the transaction that stores the events, under the lock of their partition. So it
is what those rows say, whatever was killed, restored or stored twice, and it gives the verdicts
that role count gives by app.counting.duplicates, too.
"""

from __future__ import annotations

import asyncio
from time import time
from typing import Any

from app.counting.duplicates import Seen
from app.errors import SettingsError
from app.stores.sql import load_queries

FORGET_EVERY_MS = 600_000
READ_ROWS = 200  # of 400 KB at most

TopicPlace = tuple[str, int]  # topic, partition


class StoredMessages:
    """Memories of partitions, each known up to a position."""

    def __init__(self, hours: int, *, by_uuid: bool) -> None:
        """hours: how long a message_id is remembered, 0: nothing is a duplicate."""
        self.by_uuid = by_uuid
        self._hours = hours
        self._sql = load_queries()
        self._rule_is_checked = False
        self._forget_at: dict[TopicPlace, int] = {}  # ms, by the records
        self._known: dict[TopicPlace, tuple[int, Seen]] = {}

    async def take(self, connection: Any, place: TopicPlace, position: int) -> Seen | None:
        """Return what is remembered of a partition that is stored up to a position, -1: not at all.

        None: nothing is a duplicate. keep() must follow, else it is read anew. Raises SettingsError
        where the events before were judged by another rule.
        """
        if not self._rule_is_checked:
            await self._check_rule(connection)
        if not self._hours:
            return None
        reached, seen = self._known.pop(place, (None, None))
        if seen is not None and reached == position:
            return seen
        if position < 0:  # a new cluster: offsets begin anew
            await connection.execute(self._sql["event_messages.forget"], *place, 1 << 62)
            return Seen(self._hours)
        return await self._read(connection, place)

    async def _read(self, connection: Any, place: TopicPlace) -> Seen:
        """Return what is stored.

        By parts: a transaction in which nothing is asked for ten seconds is ended by Postgres.
        """
        seen = Seen(self._hours)
        rows = await connection.cursor(self._sql["event_messages.read"], *place)
        while some := await rows.fetch(READ_ROWS):
            await asyncio.to_thread(seen.remember, [row["run"] for row in some])
        return seen

    async def keep(self, connection: Any, place: TopicPlace, seen: Seen, last_ms: int) -> None:
        """Write what is new, and forget what nothing can be a duplicate of.

        last_ms: Kafka timestamp of the last record.
        """
        for run, replaced in seen.take_rows():
            if replaced:
                gone = [row.offset for row in replaced]
                await connection.execute(self._sql["event_messages.replace"], *place, gone)
            add = self._sql["event_messages.add"]
            await connection.execute(add, *place, run.offset, run.latest, run.pack())
        now_ms = min(last_ms, int(time() * 1000))
        if now_ms >= self._forget_at.get(place, 0):
            self._forget_at[place] = now_ms + FORGET_EVERY_MS
            seen.expire(now_ms)
            end = seen.forgotten_before(now_ms)
            await connection.execute(self._sql["event_messages.forget"], *place, end)

    def committed(self, place: TopicPlace, seen: Seen | None, position: int) -> None:
        """Note that the transaction was committed, and up to which position it stored."""
        self._rule_is_checked = True
        if seen is not None:
            self._known[place] = position, seen

    async def _check_rule(self, connection: Any) -> None:
        rule = self._hours, self.by_uuid
        await connection.execute(self._sql["duplicate_rule.add"], *rule)
        found = await connection.fetchrow(self._sql["duplicate_rule.show"])
        if tuple(found) != rule:
            hours, by_uuid = found
            raise SettingsError(
                f"event was judged with EVENT_COUNTER_DEDUPE_HOURS={hours} and "
                f"EVENT_COUNTER_DEDUPE_UUID={str(by_uuid).lower()} until now; set them back, or "
                "count anew under another EVENT_COUNTER_NAMESPACE with an empty database and Redis"
            )
