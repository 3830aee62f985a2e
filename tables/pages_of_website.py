"""Page views of a website: the sums of its pages, read from the hours kept for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import numpy as np

from app.counting.ranking import top
from app.counting.spec import Cells, CounterSpec
from tables.totals import SLOT_MASK, Totals
from tables.turns import in_turns


async def read_pages(
    totals: Totals, spec: CounterSpec, website: str, end: int, check: Callable[[], None]
) -> dict[str, int]:
    """Return {page: views} of the hours that begin before end, seconds since 1970.

    check: raises where the partition is no longer ours.
    """
    pages: dict[str, int] = {}
    partition = totals.partition_of(website)
    async for rows in in_turns(
        totals.scan(partition, spec.permanent_keys.with_key(website)), check
    ):
        for row, cells in rows:
            _, start, page = spec.keys.parse(row)
            if start < end:
                pages[page] = pages.get(page, 0) + _views(spec, start, cells, end)
    return pages


def _views(spec: CounterSpec, start: int, cells: Cells, end: int) -> int:
    """Return the views of a row in the hours before end."""
    if start + spec.row_span <= end:
        return sum(cells.values())
    slots = -(-(end - start) // (spec.window or 1))
    return sum(count for cell, count in cells.items() if cell & SLOT_MASK < slots)


async def first_pages(pages: Mapping[str, int], limit: int) -> list[tuple[str, int]]:
    """Return the limit pages with the most views, ties by page, without keeping others waiting."""
    views = np.fromiter(pages.values(), np.float64, len(pages))
    return await asyncio.to_thread(top, list(pages), views, limit)
