"""What the writer of ad_month reads from the tables: a RowSource for each figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from app.counting.counters import Counters
from app.counting.stats_window import Month
from app.counting.uniques import AD_VISITORS, SketchRow
from app.stores.ad_months import AdRow
from app.transport.ownership import Ownership
from tables.row_sources import ChangeLog, in_chunks
from tables.totals import Totals
from tables.uniques import Uniques

COUNTER, LABEL = "ad_events_by_ad_daily", "impressions"


class AdImpressions:
    """Impressions per ad and month, from the totals."""

    def __init__(
        self, totals: Totals, owned: Ownership, counters: Counters, log: ChangeLog
    ) -> None:
        self._totals, self.owned, self._log = totals, owned, log
        self._spec = counters[COUNTER]
        self._changes = totals.watch(self._spec.number)

    def take(self, partition: int) -> tuple[Iterator[list[AdRow]], int]:
        """Return what changed since the last take, in chunks, and the position that it includes."""
        rows, position = self._changes.take(partition)
        return in_chunks(self._made(sorted(rows))), position

    async def note_between(self, partition: int, begin: int, end: int) -> bool:
        """As RowSource."""
        return await self._log.note(self._changes, partition, begin, end)

    def every(self, partition: int) -> Iterator[list[AdRow]]:
        """Iterate over all rows, in chunks."""
        return in_chunks(self._made(self._totals.rows_of(self._spec.number, partition)))

    def _made(self, rows: Iterable[bytes]) -> Iterator[AdRow]:
        """Yield the months that rows of counts belong to; those of one ad follow each other."""
        parsed = (self._spec.keys.parse(row) for row in rows)
        for ad_id, found in groupby(parsed, key=lambda row: row[0]):
            months = set[Month]()
            for _, start, label in found:
                if label == LABEL:
                    months |= {Month.of(start), Month.of(start + self._spec.row_span - 1)}
            for month in sorted(months):
                if impressions := self._impressions(ad_id, month):
                    yield month, ad_id, impressions

    def _impressions(self, ad_id: str, month: Month) -> int:
        days = self._totals.read(COUNTER, ad_id, month.begin, month.end).values()
        return sum(day.get(LABEL, 0) for day in days)


class AdVisitors:
    """Distinct visitors per ad and month, from the sketches."""

    def __init__(self, uniques: Uniques, owned: Ownership, log: ChangeLog) -> None:
        self._uniques, self.owned, self._log = uniques, owned, log
        self._changes = uniques.watch(AD_VISITORS)

    def take(self, partition: int) -> tuple[Iterator[list[AdRow]], int]:
        """Return what changed since the last take, in chunks, and the position that it includes."""
        rows, position = self._changes.take(partition)
        return in_chunks(self._made(partition, map(SketchRow.unpack, rows))), position

    async def note_between(self, partition: int, begin: int, end: int) -> bool:
        """As RowSource."""
        return await self._log.note(self._changes, partition, begin, end)

    def every(self, partition: int) -> Iterator[list[AdRow]]:
        """Iterate over all rows, in chunks."""
        return in_chunks(self._made(partition, self._uniques.rows_of(AD_VISITORS, partition)))

    def _made(self, partition: int, rows: Iterable[SketchRow]) -> Iterator[AdRow]:
        for row in rows:
            # A row that only the log has told of may be no row: whatever has its key was strange.
            if users := self._uniques.users_of(partition, row.pack()).users:
                yield Month.of(row.start), row.key, users
