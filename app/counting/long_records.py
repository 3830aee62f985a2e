"""How many bytes of long records may be in memory (docs/internals/decisions/rows.md). Pure.

Memory is bounded in rows elsewhere, for names of some 100 characters. An event may have a user of
32 KB, and every row, session and verdict of it holds that: what is beyond an ordinary record is
added up here, so that it is written and forgotten in time.
"""

from __future__ import annotations

from collections.abc import Collection

ORDINARY_BYTES = 1000  # of a record: rows are counted for these
LONG_MAX_BYTES = 64 << 20  # some five tables hold it, so five times that is in memory at most


class LongRecords:
    """Adds up what records have beyond ORDINARY_BYTES."""

    def __init__(self) -> None:
        self._bytes = 0

    def note(self, sizes: Collection[int]) -> None:
        """Add records; sizes: bytes of their values."""
        self._bytes += max(0, sum(sizes) - ORDINARY_BYTES * len(sizes))

    def due(self) -> bool:
        """Whether what is known of them has to leave memory."""
        return self._bytes > LONG_MAX_BYTES

    def forgotten(self) -> None:
        """Begin anew: it has left."""
        self._bytes = 0
