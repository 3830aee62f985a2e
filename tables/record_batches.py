"""Ready-made record batches: a future for each, instead of one for each record."""

from __future__ import annotations

from collections.abc import Iterable
from time import time
from typing import Any

NO_HEADERS: list[tuple[str, bytes]] = []


class RecordBatches:
    """Records of one topic partition as ready-made record batches: one future each."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self.builders: list[Any] = []

    def extend(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Add (key, value) records; begins another batch when one is full."""
        # BatchBuilder.append() serializes, asks for the time and checks, for each record anew.
        now_ms = int(time() * 1000)
        builder = self.builders[-1] if self.builders else self._begin()
        append, count = builder._builder.append, builder._relative_offset
        for key, value in records:
            if append(count, now_ms, key, value, NO_HEADERS) is None:
                builder._relative_offset = count
                builder, count = self._begin(), 0
                append = builder._builder.append
                if append(count, now_ms, key, value, NO_HEADERS) is None:
                    raise ValueError(
                        f"a record of {len(value or b'')} bytes is too large for a batch"
                    )
            count += 1
        builder._relative_offset = count

    def _begin(self) -> Any:
        self.builders.append(self._producer.create_batch())
        return self.builders[-1]
