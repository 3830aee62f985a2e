"""GET /counts/{counter} and /counters: any declared counter, from whichever worker owns the key."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from time import time

from app.counting.calendar import SHOWN_MAX, UTC, Buckets, buckets_of
from app.counting.counters import Counters
from app.counting.spec import EVERYTHING, CounterSpec
from app.counting.stats_window import time_of
from app.errors import BadRequestError, NotFoundError
from tables.totals import Totals
from web.http import paths
from web.http.views import OK
from web.query.messages import Answer, Query
from web.query.queries import Queries
from web.stats.answers import (
    Windows,
    bucket_range,
    counters_answer,
    counts_answer,
    counts_csv,
    range_of,
)
from web.stats.distinct import Reading, Sketches, distinct_answer, distinct_csv, united
from web.stats.settled import settled

CSV = {"Content-Type": "text/csv; charset=utf-8"}


def register(
    queries: Queries, totals: Totals, counters: Counters, sketches: Sketches | None
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
        begin, end = _range(spec, buckets, args)
        partition = totals.partition_of(key)  # in `uniques` it is the same
        queries.check_owner(partition, query)
        if spec.measure.is_sketch and sketches is not None:
            sketches.check(partition)
            rows = sketches.rows.of_key(spec, key, begin, end)
            ours = partial(_still_ours, queries, sketches, partition, query)
            reading = united(rows, buckets, spec.window or 0, ours)
            return _distinct(spec, key, reading, buckets, as_csv=as_csv)

        def answer() -> Answer:
            return _shown(spec, key, totals.read(name, key, begin, end), buckets, as_csv=as_csv)

        return settled(queries, totals, name, key, query, answer)

    def declared(_query: Query) -> Answer:
        """GET -> the declared counters."""
        return Answer.json(counters_answer(counters))

    queries.add(paths.COUNTS, counts)
    queries.add(paths.COUNTERS, declared)


def _shown(
    spec: CounterSpec, key: str, windows: Windows, buckets: Buckets | None, *, as_csv: bool
) -> Answer:
    zone = UTC
    if buckets:
        windows, zone = buckets.add_up(windows, spec.window or 1), buckets.zone
    if as_csv:
        return Answer(OK, counts_csv(spec, windows, zone), CSV)
    return Answer.json(counts_answer(spec, key, windows, zone))


def _range(spec: CounterSpec, buckets: Buckets | None, args: Mapping[str, str]) -> tuple[int, int]:
    """Return [begin, end) of the windows to answer with, seconds since 1970."""
    now = time()
    if buckets:
        return bucket_range(spec, buckets, args, now)
    return range_of(spec, time_of(args, "from"), time_of(args, "to"), now)


def _still_ours(queries: Queries, sketches: Sketches, partition: int, query: Query) -> None:
    queries.check_owner(partition, query)
    sketches.owned.check(partition)


async def _distinct(
    spec: CounterSpec, key: str, reading: Reading, buckets: Buckets | None, *, as_csv: bool
) -> Answer:
    windows, total = await reading
    if as_csv:
        return Answer(OK, distinct_csv(spec, windows, buckets), CSV)
    return Answer.json(distinct_answer(spec, key, windows, total, buckets))


def csv_of(args: Mapping[str, str]) -> bool:
    """Return whether format=csv is asked for; raise BadRequestError for another format."""
    given = args.get("format", "json")
    if given not in ("json", "csv"):
        raise BadRequestError(f"format={given[:SHOWN_MAX]} is neither json nor csv")
    return given == "csv"
