"""Where the rows of one key lie, for a range of time, and how many are too many."""

from __future__ import annotations

from collections.abc import Iterator
from time import time

from app.counting.spec import DAY, CounterSpec
from app.errors import BadRequestError

SEEKS_MAX = 100  # rows looked up one by one; for more, all rows of a key are read in order
AHEAD_MAX = 2 * DAY  # s that an event may lie ahead of this clock, with some room


def prefixes_of(spec: CounterSpec, key: str, begin: int, end: int) -> Iterator[bytes]:
    """Yield what the rows of a range begin with; at worst those of all time."""
    if not spec.row_span or (spec.retention is None and end - begin > SEEKS_MAX * spec.row_span):
        yield spec.permanent_keys.with_key(key)
        return
    now = int(time())  # what lies outside is not there; looking for it would take for ever
    first = begin if spec.retention is None else max(begin, now - spec.retention - spec.row_span)
    for start in range(first - first % spec.row_span, min(end, now + AHEAD_MAX), spec.row_span):
        yield spec.keys.row(key, start, "")


def check_number(counts: int, most: float) -> None:
    """Raise BadRequestError where an answer would have more counts than it may."""
    if counts > most:
        raise BadRequestError(f"there are over {most:,.0f} counts; ask for less by from= and to=")
