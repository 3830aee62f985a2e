"""The answer of GET /counts/{counter} for a counter that measures distinct values.

A value that is there in many windows is one value: hours become a day, and all of them the total,
by uniting their sketches, never by adding figures up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from app.counting.calendar import UTC, Buckets, local_text
from app.counting.spec import CounterSpec
from app.counting.uniques import Estimate, Sketch, Union
from app.errors import RecoveringError
from app.transport.ownership import Ownership
from tables.distinct_rows import DistinctRows
from tables.key_ranges import check_number
from tables.turns import InSteps, in_order
from tables.uniques import Uniques
from web.query.least import check, hold
from web.query.messages import encode
from web.stats.pieces import CsvLines, members

_WINDOW = b'{"start":%b,"counts":{%b},"error":%b}'
_ANSWER = b'{"counter":%b,"key":%b,"windows":[%b],"total":{%b},"error":%b}'


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


def united(
    rows: Iterable[tuple[int, str, Sketch]], buckets: Buckets | None, window: int, most: float
) -> InSteps[tuple[DistinctWindows, ByLabel]]:
    """Return what is shown of rows in the order of their starts, and of all of them.

    window: seconds. Raises BadRequestError as buckets.check(), and where there are more than
    `most` rows.
    """
    windows: DistinctWindows = []
    start, end = 0, 0
    part, total = defaultdict[str, Union](Union), defaultdict[str, Union](Union)
    for number, (at, label, sketch) in enumerate(rows, 1):
        check_number(number, most)
        if not start <= at < end:
            if part:
                windows.append((start, (yield from estimates(part))))
            start, end = (at, at + 1) if buckets is None else bucket(buckets, at, window)
            part = defaultdict(Union)
        part[label].add(sketch)
        total[label].add(sketch)
        yield
    if part:
        windows.append((start, (yield from estimates(part))))
    return windows, (yield from estimates(total))


def bucket(buckets: Buckets, at: int, window: int) -> tuple[int, int]:
    """Return [begin, end) of the hour or day of a window; raise BadRequestError as check()."""
    start = buckets.start_of(at)
    buckets.check(window, start, start + 1)
    return start, buckets.after(start)


def estimates(unions: Mapping[str, Union]) -> InSteps[ByLabel]:
    """Return {label: how many values}, by label."""
    found: ByLabel = {}
    for label in (yield from in_order(unions)):
        found[label] = unions[label].estimate()
        yield
    return found


def distinct_json(
    spec: CounterSpec, key: str, windows: DistinctWindows, total: ByLabel, buckets: Buckets | None
) -> InSteps[bytes]:
    """Return {"counter", "key", "windows": [{"start", "counts", "error"}], "total", "error"}."""
    zone, listed = buckets.zone if buckets else UTC, list[bytes]()
    for start, found in windows if spec.window else ():
        counts = yield from _counts(found)
        listed.append(_WINDOW % (encode(local_text(start, zone)), counts, _error(found)))
    head = encode(spec.name), encode(key), b",".join(listed)
    return _ANSWER % (*head, (yield from _counts(total)), _error(total))


def distinct_csv(
    spec: CounterSpec, windows: DistinctWindows, buckets: Buckets | None
) -> InSteps[bytes]:
    """Return the same as CSV: a line per window and label below start,label,count,error."""
    zone = buckets.zone if buckets else UTC
    lines = CsvLines(("start", "label", "count", "error"))
    for start, found in windows:
        text = local_text(start, zone) if spec.window else ""
        yield from lines.write((text, label, *estimate) for label, estimate in found.items())
    return lines.body()


def _counts(found: ByLabel) -> InSteps[bytes]:
    return members(found, lambda estimate: estimate.users)


def _error(found: ByLabel) -> bytes:
    """Return the largest relative error of the labels, as JSON."""
    return encode(max((estimate.error for estimate in found.values()), default=0.0))
