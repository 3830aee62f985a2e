"""What the writers of event_summary and Redis read from the totals: a RowSource each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from time import thread_time
from typing import TypeVar

from app.counting.counters import Counters
from app.counting.spec import FOREVER
from app.events.event import at_ms
from app.kafka.log import KafkaLog
from app.stores.live import LiveRow
from app.stores.summary import SummaryRow
from app.transport.ownership import Ownership
from tables.totals import Totals
from tables.watchers import Changes

WHOLE_KEY = slice(None)  # the row that a record of `uniques` changes, see ChangeLog
CHUNK = 2000  # rows handed over at a time
CHUNK_S = 0.02  # of reading them, then they are handed over, however few

ChunkRow = TypeVar("ChunkRow")


def in_chunks(rows: Iterable[ChunkRow | None]) -> Iterator[list[ChunkRow]]:
    """Yield rows by the CHUNK, or by what takes CHUNK_S, each made when it is asked for.

    rows: None is work that made no row; so a chunk may be empty.
    """
    chunk: list[ChunkRow] = []
    began = thread_time()
    for row in rows:
        if row is not None:
            chunk.append(row)
        if len(chunk) == CHUNK or thread_time() - began > CHUNK_S:
            yield chunk
            chunk, began = [], thread_time()
    if chunk:
        yield chunk


class ChangeLog:
    """The topic that a table is made from, read again where a sink is behind its table."""

    def __init__(self, log: KafkaLog, topic: str, row_part: slice) -> None:
        """row_part: of the key of a record, which is the row that it changes."""
        self._log, self._topic, self._row_part = log, topic, row_part

    async def note(self, changes: Changes, partition: int, begin: int, end: int) -> bool:
        """Note the rows of the offsets [begin, end); False: some were deleted meanwhile.

        Compaction leaves the last record of each key, so no row is missed. Raises
        UnavailableError.
        """
        async with aclosing(self._log.read(self._topic, partition, begin, end)) as batches:
            async for batch, deleted in batches:
                if deleted:
                    return False
                for some in batched(batch):
                    rows = (record.key[self._row_part] for record in some if record.key)
                    changes.note_read(partition, filter(None, rows))
                    await asyncio.sleep(0)
        return True


def batched(records: Sequence[ChunkRow]) -> Iterator[Sequence[ChunkRow]]:
    """Yield records by the CHUNK."""
    return (records[begin : begin + CHUNK] for begin in range(0, len(records), CHUNK))


def summary_rows(url: str, label: str, windows: Mapping[int, int]) -> list[SummaryRow]:
    """Return a row of the table as those of event_summary; windows: by start, s since 1970."""
    return [(url, at_ms(start * 1000), label, count) for start, count in windows.items()]


class SummaryRows:
    """Rows of events_by_url_hourly, as event_summary holds them."""

    def __init__(
        self, totals: Totals, owned: Ownership, counters: Counters, log: ChangeLog
    ) -> None:
        self._totals, self.owned, self._log = totals, owned, log
        self._spec = counters["events_by_url_hourly"]
        self._changes = totals.watch(self._spec.number)

    def take(self, partition: int) -> tuple[Iterator[list[SummaryRow]], int]:
        """Return what changed since the last take, in chunks, and the position that it includes."""
        rows, position = self._changes.take(partition)
        return in_chunks(made for row in rows for made in self._rows(partition, row)), position

    async def note_between(self, partition: int, begin: int, end: int) -> bool:
        """As RowSource."""
        return await self._log.note(self._changes, partition, begin, end)

    def every(self, partition: int) -> Iterator[list[SummaryRow]]:
        """Iterate over all rows, in chunks."""
        rows = self._totals.rows_after(self._spec.number, partition, b"")
        return in_chunks(
            made for _, url, label, windows in rows for made in summary_rows(url, label, windows)
        )

    def _rows(self, partition: int, row: bytes) -> list[SummaryRow]:
        return summary_rows(*self._totals.row_counts(partition, row))


class LiveRows:
    """All-time counts by url, as Redis holds them."""

    def __init__(
        self, totals: Totals, owned: Ownership, counters: Counters, log: ChangeLog
    ) -> None:
        self._totals, self.owned, self._log = totals, owned, log
        self._name = "events_by_url"
        self._spec = counters.stored(self._name)
        self._changes = totals.watch(self._spec.number)

    def take(self, partition: int) -> tuple[Iterator[list[LiveRow]], int]:
        """Return the urls that changed since the last take, in chunks, and the position."""
        rows, position = self._changes.take(partition)
        return in_chunks(self._changed(rows)), position

    async def note_between(self, partition: int, begin: int, end: int) -> bool:
        """As RowSource."""
        return await self._log.note(self._changes, partition, begin, end)

    def every(self, partition: int) -> Iterator[list[LiveRow]]:
        """Iterate over all urls, in chunks."""
        return in_chunks(self._rows(self._totals.keys_of(self._name, partition)))

    def _changed(self, rows: Iterable[bytes]) -> Iterator[LiveRow | None]:
        """Yield the urls that rows belong to, each once."""
        seen = set[str]()
        for row in rows:
            if (url := self._spec.keys.parse(row)[0]) in seen:
                yield None
            else:
                seen.add(url)
                yield from self._rows((url,))

    def _rows(self, urls: Iterable[str]) -> Iterator[LiveRow | None]:
        for url in urls:
            yield from self._totals.settling(self._name, url)
            counts = yield from self._totals.reading(self._name, url, 0, FOREVER)
            yield url, counts.get(0, {})
