"""What the writers of event_summary and Redis read from the totals: a RowSource each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from time import thread_time
from typing import TypeVar

from app.counting.counters import Counters
from app.counting.spec import FOREVER
from app.events.event import at_ms
from app.transport.ownership import Ownership
from tables.totals import Totals

CHUNK = 2000  # rows handed over at a time
CHUNK_S = 0.02  # of reading them, then they are handed over, however few

SummaryRow = tuple[str, datetime, str, int]  # url, hour, type, count
LiveRow = tuple[str, dict[str, int]]  # url, {type: count}
Row = TypeVar("Row")


def in_chunks(rows: Iterable[Row | None]) -> Iterator[list[Row]]:
    """Yield rows by the CHUNK, or by what takes CHUNK_S, each made when it is asked for.

    rows: None is work that made no row; so a chunk may be empty.
    """
    chunk: list[Row] = []
    began = thread_time()
    for row in rows:
        if row is not None:
            chunk.append(row)
        if len(chunk) == CHUNK or thread_time() - began > CHUNK_S:
            yield chunk
            chunk, began = [], thread_time()
    if chunk:
        yield chunk


class SummaryRows:
    """Rows of events_by_url_hourly, as event_summary holds them."""

    def __init__(self, totals: Totals, owned: Ownership, counters: Counters) -> None:
        self._totals, self.owned = totals, owned
        self._spec = counters["events_by_url_hourly"]
        self._changes = totals.watch(self._spec.number)

    def take(self, partition: int) -> tuple[Iterator[list[SummaryRow]], int]:
        """Return what changed since the last take, in chunks, and the position that it includes."""
        rows, position = self._changes.take(partition)
        return in_chunks(made for row in rows for made in self._rows(partition, row)), position

    def put_back(self, partition: int, rows: Sequence[SummaryRow]) -> None:
        """Keep rows that could not be written for the next take."""
        keys = set()
        for url, hour, label, _ in rows:
            start, _slot = self._spec.place(int(hour.timestamp()))
            keys.add(self._spec.row(url, start, label))
        self._changes.put_back(partition, keys)

    def every(self, partition: int) -> Iterator[list[SummaryRow]]:
        """Iterate over all rows, in chunks."""
        rows = self._totals.rows_of(self._spec.number, partition)
        return in_chunks(made for row in rows for made in self._rows(partition, row))

    def _rows(self, partition: int, row: bytes) -> list[SummaryRow]:
        url, label, windows = self._totals.row_counts(partition, row)
        return [(url, at_ms(start * 1000), label, count) for start, count in windows.items()]


class LiveRows:
    """All-time counts by url, as Redis holds them."""

    def __init__(self, totals: Totals, owned: Ownership, counters: Counters) -> None:
        self._totals, self.owned = totals, owned
        self._name = "events_by_url"
        self._spec = counters.stored(self._name)
        self._changes = totals.watch(self._spec.number)
        self._again: defaultdict[int, set[str]] = defaultdict(set)

    def take(self, partition: int) -> tuple[Iterator[list[LiveRow]], int]:
        """Return the urls that changed since the last take, in chunks, and the position."""
        rows, position = self._changes.take(partition)
        return in_chunks(self._changed(partition, rows)), position

    def put_back(self, partition: int, rows: Sequence[LiveRow]) -> None:
        """Keep rows that could not be written for the next take."""
        self._again[partition].update(url for url, _ in rows)

    def every(self, partition: int) -> Iterator[list[LiveRow]]:
        """Iterate over all urls, in chunks."""
        return in_chunks(self._rows(self._totals.keys_of(self._name, partition)))

    def _changed(self, partition: int, rows: Iterable[bytes]) -> Iterator[LiveRow | None]:
        """Yield the urls that rows belong to, and those that wait, each once."""
        seen = self._again.pop(partition, set())
        yield from self._rows(list(seen))
        for row in rows:
            if (url := self._spec.parse(row)[0]) in seen:
                yield None
            else:
                seen.add(url)
                yield from self._rows((url,))

    def _rows(self, urls: Iterable[str]) -> Iterator[LiveRow | None]:
        for url in urls:
            while not self._totals.settle(self._name, url):
                yield None
            yield url, self._totals.read(self._name, url, 0, FOREVER).get(0, {})
