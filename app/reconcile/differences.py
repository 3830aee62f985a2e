"""What differs between the sides, asked for and reported one by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from app.kafka.watermarks import Offsets
from app.reconcile.comparison import Comparison, by_partition
from app.reconcile.own_counters import OwnCounters

Difference = dict[str, Any]
Report = Callable[[Difference], None]


class OffsetRanges:
    """Offsets as ranges [begin, end), in step."""

    def __init__(self) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []

    def add(self, offsets: list[int]) -> None:
        """Take offsets in their order."""
        for offset in offsets:
            if self.ends and self.ends[-1] == offset:
                self.ends[-1] += 1
            else:
                self.begins.append(offset)
                self.ends.append(offset + 1)


class Differences:
    """Asks for what differs, and reports it.

    count: how many. missing: rows that event lacks of what was stored; None: not asked for.
    """

    def __init__(self, sides: Comparison, report: Report) -> None:
        self.count = 0
        self.missing: int | None = None
        self._sides, self._report = sides, report

    async def hours(self, kept_from: datetime) -> None:
        """Tables and event_summary, by url, hour and type."""
        async for row in self._sides.differences("compare.hours", kept_from):
            self._tell(
                {
                    "what": "hour",
                    "url": row["url"],
                    "hour": f"{row['hour']:%Y-%m-%dT%H:%M:%SZ}",
                    "type": row["type"],
                    "event": _span(row),
                    "tables": row["tables"],
                    "event_summary": row["summary"],
                }
            )

    async def all_time(self, *, redis: bool, own_rows: bool) -> None:
        """Redis, and the tables where they count all time by itself, by url and type."""
        async for row in self._sides.differences("compare.all_time", redis, own_rows):
            number = row["redis"]
            self._tell(
                {
                    "what": "all_time",
                    "url": row["url"],
                    "type": row["type"],
                    "event": _span(row),
                    **({"tables": row["tables"]} if own_rows else {}),
                    **({"redis": int(number) if number.isdigit() else number} if redis else {}),
                }
            )

    async def types(self, cut: Offsets, kept: list[str] | None) -> None:
        """What is counted and what is left out as bots, by type; kept: as of Comparison.count."""
        async for row in self._sides.differences("compare.types", by_partition(cut), kept):
            self._tell(
                {
                    "what": row["what"],
                    "type": row["type"],
                    "event": _span(row),
                    "tables": row["tables"],
                }
            )

    async def own(self, counters: OwnCounters, cut: Offsets) -> None:
        """Counters of a counters.toml, by key, window and label."""
        await counters.count(cut)
        async for difference in counters.differences():
            self._tell(difference)

    async def stored(self, topic: str, begins: Offsets, cut: Offsets, records: Any) -> None:
        """Rows of event by partition; received = stored + rejected."""
        ranges = by_partition(begins), by_partition(cut)
        rows = [row async for row in self._sides.differences("compare.stored", topic, *ranges)]
        self.missing = sum(row["stored"] - row["rows"] for row in rows)
        for row in rows:
            partition = row["partition"]
            name = f"{topic}-{partition}"
            if row["stored"] != row["rows"]:
                counts = {"event": row["rows"], "sink_offsets": row["stored"]}
                self._tell({"what": "stored", "partition": name, **counts})
            seen = row["ranged"] + row["rejected"]
            if partition not in cut or seen == cut[partition] - begins[partition]:
                continue
            if (received := await records(partition)) != seen:
                counts = {"event": row["ranged"], "rejected": row["rejected"]}
                self._tell({"what": "received", "partition": name, "received": received, **counts})

    async def kept(self, partition: int, begins: list[int], ends: list[int]) -> int:
        """Return how many of some offsets are in event, or were rejected."""
        sides = self._sides
        args = partition, begins, ends
        return int(await sides.connection.fetchval(sides.sql["compare.kept"], *args))

    def _tell(self, difference: Difference) -> None:
        self.count += 1
        self._report(difference)


def _span(row: Any) -> int | list[int]:
    """What event says: a number, or from and to, where events came in meanwhile."""
    return row["low"] if row["low"] == row["high"] else [row["low"], row["high"]]
