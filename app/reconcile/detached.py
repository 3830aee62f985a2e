"""Months of event whose partitions somebody has detached, where their tables are still there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

LONGEST = timedelta(days=31)  # a month; so much later it is another one
READ = "user_id, message_id, kafka_time, received_at"  # what forget.user looks at of other rows


class DetachedMonth(NamedTuple):
    """A table. begin: of its month, in UTC.

    covered: whether a partition of event is there for the month, as late events make one; so is
    another table of this month that is attached before. columns: of event, where the table has
    them in another order.
    """

    name: str
    begin: datetime
    covered: bool = False
    columns: str = ""

    @property
    def attach(self) -> str:
        """The SQL that makes it a part of event again."""
        if self.covered:
            into = f"event ({self.columns})" if self.columns else "event"
            return (
                f"begin; insert into {into} select {self.columns or '*'} from {self.name}; "  # noqa: S608 - ours
                f"drop table {self.name}; commit"
            )
        end = (self.begin + LONGEST).replace(day=1)
        return (
            f"alter table event attach partition {self.name} for values from "
            f"('{self.begin:%Y-%m-%d}Z') to ('{end:%Y-%m-%d}Z')"
        )


async def detached_months(
    connection: asyncpg.Connection, sql: Mapping[str, str]
) -> list[DetachedMonth]:
    """Return those that have all columns of event."""
    found, begins = list[DetachedMonth](), set[datetime]()
    for name, month, covered, columns in await connection.fetch(sql["event.detached"]):
        begin = datetime.strptime(month, "%Y_%m").replace(tzinfo=UTC)
        found.append(DetachedMonth(name, begin, covered or begin in begins, columns))
        begins.add(begin)
    return found


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
