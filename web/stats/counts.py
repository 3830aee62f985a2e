"""GET /counts/{counter} and /counters: any declared counter, from whichever worker owns the key."""

from __future__ import annotations

from time import time

from app.counting.counters import Counters
from app.counting.spec import EVERYTHING
from app.counting.stats_window import time_of
from app.errors import BadRequestError, NotFoundError
from tables.totals import Totals
from web.http import paths
from web.query.queries import Answer, Queries, Query
from web.stats.answers import counters_answer, counts_answer, range_of


def register(queries: Queries, totals: Totals, counters: Counters) -> None:
    """Add the queries of a count worker."""

    def counts(query: Query) -> Answer:
        """GET ?key=K&from=T&to=T -> the windows of a key and their total."""
        name, args = query.segments[-1], query.args
        if name not in counters:
            raise NotFoundError(f"no counter {name!r}; there are {', '.join(counters)}")
        spec = counters[name]
        key = args.get("key")
        if key is None:
            if spec.key is not EVERYTHING:
                raise BadRequestError(f"{name} needs key=, a {spec.key.name}")
            key = ""
        begin, end = range_of(spec, time_of(args, "from"), time_of(args, "to"), time())
        queries.check_owner(totals.partition_of(key), query)
        windows = totals.read(name, key, begin, end)
        return Answer.json(counts_answer(name, key, windows, all_time=spec.window is None))

    def declared(_query: Query) -> Answer:
        """GET -> the declared counters."""
        return Answer.json(counters_answer(counters))

    queries.add(paths.COUNTS, counts)
    queries.add(paths.COUNTERS, declared)
