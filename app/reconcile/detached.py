"""Months of event whose partitions somebody has detached, where their tables are still there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

LONGEST = timedelta(days=31)  # a month; so much later it is another one
READ = "user_id, message_id, kafka_time, received_at"  # what forget.user looks at of other rows


class DetachedMonth(NamedTuple):
    """A table. begin: of its month, in UTC."""

    name: str
    begin: datetime

    @property
    def attach(self) -> str:
        """The SQL that makes it a part of event again."""
        end = (self.begin + LONGEST).replace(day=1)
        return (
            f"alter table event attach partition {self.name} for values from "
            f"('{self.begin:%Y-%m-%d}Z') to ('{end:%Y-%m-%d}Z')"
        )


async def detached_months(
    connection: asyncpg.Connection, sql: Mapping[str, str]
) -> list[DetachedMonth]:
    """Return those that have all columns of event."""
    return [
        DetachedMonth(row["name"], datetime.strptime(row["month"], "%Y_%m").replace(tzinfo=UTC))
        for row in await connection.fetch(sql["event.detached"])
    ]


def how_to_attach(months: Iterable[DetachedMonth]) -> str:
    """Return what to type; empty where there are none."""
    typed = "; ".join(month.attach for month in months)
    return f"To attach what was detached, type in psql: {typed}" if typed else ""


def for_each_table(query: str, months: Iterable[DetachedMonth]) -> list[str]:
    """Return a query that updates event, and one for each month; all look at all rows."""
    tables = ["event", *(month.name for month in months)]
    if len(tables) == 1:
        return [query]
    every = " union all ".join(f"select {READ} from {name}" for name in tables)  # noqa: S608 - ours
    query = query.replace(" from event", f" from ({every}) every_event")
    return [query.replace("update event ", f"update {name} ") for name in tables]
