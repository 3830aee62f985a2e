"""The answer of GET /counts/{counter} for a counter that measures distinct values.

A value that is there in many windows is one value: hours become a day, and all of them the total,
by uniting their sketches, never by adding figures up.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any

from app.counting.calendar import UTC, Buckets, local_text
from app.counting.spec import CounterSpec
from app.counting.uniques import Estimate, Sketch, Union
from app.errors import RecoveringError
from app.transport.ownership import Ownership
from tables.distinct_rows import DistinctRows
from tables.turns import Turns
from tables.uniques import Uniques
from web.query.least import check, hold


@dataclass(frozen=True)
class Sketches:
    """The table `uniques`, as answers read it; owned: its partitions."""

    table: Uniques
    rows: DistinctRows
    owned: Ownership

    def check_owned(self, partitions: Iterable[int]) -> None:
        """Raise RecoveringError where this worker does not have all of these partitions."""
        for partition in partitions:
            self.owned.check(partition)

    def check(self, partition: int) -> None:
        """Raise where this worker cannot answer for a partition, or not yet."""
        self.owned.check(partition)
        check(partition, self.table.reached)


ByLabel = dict[str, Estimate]
DistinctWindows = list[tuple[int, ByLabel]]  # by start, in s since 1970
Reading = Awaitable[tuple[DistinctWindows, ByLabel]]


async def ready(sketches: Sketches | None, partitions: Sequence[int]) -> Sketches:
    """Return the sketches once they hold what a query to all workers asks for.

    Raises RecoveringError where these partitions are not all ours, and BehindError.
    """
    if sketches is None:
        raise RecoveringError("a worker without statistics has no distinct values")
    sketches.check_owned(partitions)
    for partition in partitions:
        await hold(partition, sketches.table.reached, partial(sketches.owned.check, partition))
    return sketches


async def united(
    rows: Iterable[tuple[int, str, Sketch]],
    buckets: Buckets | None,
    window: int,
    still_ours: Callable[[], None],
) -> tuple[DistinctWindows, ByLabel]:
    """Return what is shown of rows in the order of their starts, and of all of them.

    window: seconds. still_ours: raises where the rows are not this worker's any more.
    """
    windows: DistinctWindows = []
    start, end, turns = 0, 0, Turns(still_ours)
    part, total = defaultdict[str, Union](Union), defaultdict[str, Union](Union)
    for at, label, sketch in rows:
        if not start <= at < end:
            if part:
                windows.append((start, estimates(part)))
            start, end = (at, at + 1) if buckets is None else bucket(buckets, at, window)
            part = defaultdict(Union)
        part[label].add(sketch)
        total[label].add(sketch)
        await turns.next()
    if part:
        windows.append((start, estimates(part)))
    return windows, estimates(total)


def bucket(buckets: Buckets, at: int, window: int) -> tuple[int, int]:
    """Return [begin, end) of the hour or day of a window; raise BadRequestError as check()."""
    start = buckets.start_of(at)
    buckets.check(window, start, start + 1)
    return start, buckets.after(start)


def estimates(unions: Mapping[str, Union]) -> ByLabel:
    """Return {label: how many values}."""
    return {label: union.estimate() for label, union in sorted(unions.items())}


def distinct_answer(
    spec: CounterSpec, key: str, windows: DistinctWindows, total: ByLabel, buckets: Buckets | None
) -> dict[str, Any]:
    """Return {"counter", "key", "windows": [{"start", "counts", "error"}], "total", "error"}."""
    zone = buckets.zone if buckets else UTC
    listed = [
        {"start": local_text(start, zone), "counts": _counts(found), "error": _error(found)}
        for start, found in (windows if spec.window else [])
    ]
    return {
        "counter": spec.name,
        "key": key,
        "windows": listed,
        "total": _counts(total),
        "error": _error(total),
    }


def distinct_csv(spec: CounterSpec, windows: DistinctWindows, buckets: Buckets | None) -> bytes:
    """Return the same as CSV: a line per window and label below start,label,count,error."""
    zone, text = buckets.zone if buckets else UTC, StringIO()
    lines = csv.writer(text)
    lines.writerow(("start", "label", "count", "error"))
    for start, found in windows:
        shown = local_text(start, zone) if spec.window else ""
        lines.writerows((shown, label, *estimate) for label, estimate in found.items())
    return text.getvalue().encode()


def _counts(found: ByLabel) -> dict[str, int]:
    return {label: estimate.users for label, estimate in found.items()}


def _error(found: ByLabel) -> float:
    """Return the largest relative error of the labels."""
    return max((estimate.error for estimate in found.values()), default=0.0)
