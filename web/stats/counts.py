"""GET /counts/{counter} and /counters: any declared counter, from whichever worker owns the key."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from math import inf
from time import time
from typing import NamedTuple

from app.counting.calendar import SHOWN_MAX, UTC, Buckets, buckets_of
from app.counting.counters import Counters
from app.counting.spec import EVERYTHING, CounterSpec
from app.counting.stats_window import time_of
from app.errors import BadRequestError, NotFoundError
from tables.totals import Totals
from tables.turns import InSteps
from web.http import paths
from web.http.views import JSON, OK
from web.query.messages import Answer, Query
from web.query.queries import Queries
from web.query.stepwise import Stepwise
from web.stats.answers import bucket_range, counters_answer, counts_csv, counts_json, range_of
from web.stats.distinct import Sketches, distinct_csv, distinct_json, united

CSV = {"Content-Type": "text/csv; charset=utf-8"}
COUNTS_MAX = 200_000  # of windows and labels in an answer: a second of the worker, 20 MB


def register(
    queries: Queries,
    stepwise: Stepwise,
    totals: Totals,
    counters: Counters,
    sketches: Sketches | None,
) -> None:
    """Add the queries of a count worker. sketches: None without statistics."""

    def counts(query: Query) -> Answer | Awaitable[Answer]:
        """GET ?key=K&from=T&to=T&by=1h&tz=Europe/Berlin&format=csv -> windows of a key, total."""
        name, args = query.segments[-1], query.args
        if name not in counters:
            raise NotFoundError(f"no counter {name!r}; there are {', '.join(counters)}")
        spec = counters[name]
        key = args.get("key")
        if key is None:
            if spec.key is not EVERYTHING:
                raise BadRequestError(f"{name} needs key=, a {spec.key.name}")
            key = ""
        buckets, as_csv = buckets_of(args), csv_of(args)
        asked = _Asked(spec, key, _range(spec, buckets, args), buckets, as_csv)
        partition = totals.partition_of(key)  # in `uniques` it is the same
        queries.check_owner(partition, query)
        if spec.measure.is_sketch and sketches is not None:
            sketches.check(partition)
            return stepwise.answer(_distinct(sketches, asked))
        return stepwise.answer(_counted(totals, asked))

    def declared(_query: Query) -> Answer:
        """GET -> the declared counters."""
        return Answer.json(counters_answer(counters))

    queries.add(paths.COUNTS, counts)
    queries.add(paths.COUNTERS, declared)


class _Asked(NamedTuple):
    """span: [begin, end) of the windows, s since 1970. as_csv: else as JSON."""

    spec: CounterSpec
    key: str
    span: tuple[int, int]
    buckets: Buckets | None
    as_csv: bool

    @property
    def most(self) -> float:
        """How many counts an answer may have; of all time nobody can ask for less."""
        return COUNTS_MAX if self.spec.window else inf

    def answer(self, body: bytes) -> Answer:
        """Return the answer."""
        return Answer(OK, body, CSV if self.as_csv else JSON)


def _counted(totals: Totals, asked: _Asked) -> InSteps[Answer]:
    spec, key, span, buckets, as_csv = asked
    yield from totals.settling(spec.name, key)
    windows, zone = (yield from totals.reading(spec.name, key, *span, asked.most)), UTC
    if buckets:
        windows, zone = (yield from buckets.add_up(windows, spec.window or 1)), buckets.zone
    if as_csv:
        return asked.answer((yield from counts_csv(spec, windows, zone)))
    return asked.answer((yield from counts_json(spec, key, windows, zone)))


def _distinct(sketches: Sketches, asked: _Asked) -> InSteps[Answer]:
    spec, key, span, buckets, as_csv = asked
    rows = sketches.rows.of_key(spec, key, *span)
    windows, total = yield from united(rows, buckets, spec.window or 0, asked.most)
    if as_csv:
        return asked.answer((yield from distinct_csv(spec, windows, buckets)))
    return asked.answer((yield from distinct_json(spec, key, windows, total, buckets)))


def _range(spec: CounterSpec, buckets: Buckets | None, args: Mapping[str, str]) -> tuple[int, int]:
    """Return [begin, end) of the windows to answer with, seconds since 1970."""
    now = time()
    if buckets:
        return bucket_range(spec, buckets, args, now)
    return range_of(spec, time_of(args, "from"), time_of(args, "to"), now)


def csv_of(args: Mapping[str, str]) -> bool:
    """Return whether format=csv is asked for; raise BadRequestError for another format."""
    given = args.get("format", "json")
    if given not in ("json", "csv"):
        raise BadRequestError(f"format={given[:SHOWN_MAX]} is neither json nor csv")
    return given == "csv"
