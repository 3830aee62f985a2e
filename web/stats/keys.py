"""GET /counts/{counter}/top and /keys: which keys a counter has, and those with the most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from math import ceil
from time import time
from typing import Any

import msgspec

from app.counting.counters import Counters
from app.counting.spec import FOREVER, CounterSpec
from app.counting.stats_window import parse_at, parse_limit, time_of
from app.errors import BadRequestError, NotFoundError
from tables.key_scans import KeyRuns
from tables.key_sums import KeySums
from tables.totals import Totals
from tables.turns import Turns, at_once
from web.http import paths
from web.http.views import OK
from web.query.gather import GatheredQuery, Gathering
from web.query.messages import Answer, Query
from web.query.reuse import Reuse
from web.stats.answers import range_of
from web.stats.counts import CSV, csv_of
from web.stats.distinct import Sketches, ready
from web.stats.pieces import CsvLines

TOP, KEYS, LIMIT_MAX = 10, 100, 1000
REUSE_S = 1.0
AT_ONCE = 100  # questions that wait: one counter answers one after the other, in milliseconds

TopPart = list[tuple[Any, ...]]  # key, sum of its cells; of distinct values also the error


class TopAsk(msgspec.Struct, array_like=True, frozen=True):
    """What is asked; begin, end: at edges of windows, seconds since 1970."""

    counter: str
    begin: int
    end: int
    label: str | None
    limit: int
    as_csv: bool


class TopKeys(GatheredQuery[TopAsk, TopPart]):
    """GET ?limit=10&from=&to=&at=&label= -> the keys with the largest values."""

    ask_type, part_type = TopAsk, TopPart

    def __init__(self, sums: KeySums, counters: Counters, sketches: Sketches | None) -> None:
        self._sums, self._counters, self._sketches = sums, counters, sketches
        self._reuse = Reuse[TopPart](REUSE_S, AT_ONCE)

    def parse(self, query: Query) -> TopAsk:
        """Read the arguments."""
        spec, args = _counter(self._counters, query), query.args
        limit = parse_limit(args, default=TOP, most=LIMIT_MAX)
        begin, end = top_range(spec, args, time())
        return TopAsk(spec.name, begin, end, args.get("label"), limit, csv_of(args))

    async def local(self, ask: TopAsk, partitions: list[int]) -> TopPart:
        """Return the first keys of these partitions: each key is on one of them."""
        spec = self._counters.stored(ask.counter)
        question = ask.counter, ask.begin, ask.end, ask.label, ask.limit, tuple(partitions)
        span = ask.begin, ask.end
        make: Callable[[], Awaitable[TopPart]]
        make = partial(self._sums.top, spec, partitions, span, ask.label, ask.limit)
        if spec.measure.is_sketch:
            sketches = await ready(self._sketches, partitions)
            make = partial(self._distinct, spec, partitions, ask, sketches)
        return await self._reuse.get(question, make)

    async def _distinct(
        self, spec: CounterSpec, partitions: list[int], ask: TopAsk, sketches: Sketches
    ) -> TopPart:
        span = ask.begin, ask.end
        still_ours = partial(sketches.check_owned, partitions)
        rank = sketches.rows.top
        return [*await rank(spec, partitions, span, ask.label, ask.limit, still_ours)]

    def merge(self, ask: TopAsk, parts: list[TopPart]) -> object:
        """Return {"counter", "keys": [{"key", "value"}]}."""
        ranked = sorted((one for part in parts for one in part), key=lambda one: (-one[1], one[0]))
        show = self._counters[ask.counter].measure.shown
        shown = [(key.decode(), show(value), *error) for key, value, *error in ranked[: ask.limit]]
        columns = ("key", "value", *self._error(ask))
        if ask.as_csv:
            return csv_answer(columns, shown)
        keys = [dict(zip(columns, values, strict=True)) for values in shown]
        return {"counter": ask.counter, "keys": keys}

    def _error(self, ask: TopAsk) -> tuple[str, ...]:
        return ("error",) if self._counters[ask.counter].measure.is_sketch else ()


class KeysAsk(msgspec.Struct, array_like=True, frozen=True):
    """What is asked; oldest: start of the first window that is kept, seconds since 1970."""

    counter: str
    prefix: str
    after: str | None
    oldest: int
    limit: int
    as_csv: bool


class Keys(GatheredQuery[KeysAsk, list[bytes]]):
    """GET ?prefix=&limit=100&after= -> the keys of a counter, in order, a page at a time."""

    ask_type, part_type = KeysAsk, list[bytes]

    def __init__(self, totals: Totals, counters: Counters, sketches: Sketches | None) -> None:
        self._totals, self._counters, self._sketches = totals, counters, sketches

    def parse(self, query: Query) -> KeysAsk:
        """Read the arguments."""
        spec, args = _counter(self._counters, query), query.args
        limit = parse_limit(args, default=KEYS, most=LIMIT_MAX)
        oldest, _ = range_of(spec, None, None, time())
        after = args.get("after")
        return KeysAsk(spec.name, args.get("prefix", ""), after, oldest, limit, csv_of(args))

    async def local(self, ask: KeysAsk, partitions: list[int]) -> list[bytes]:
        """Return the first keys of these partitions, one more than are asked for."""
        spec = self._counters.stored(ask.counter)
        after = None if ask.after is None else ask.after.encode()
        oldest = ask.oldest - ask.oldest % (spec.row_span or 1)
        found: list[bytes] = []
        turns, sketches = Turns(), None
        prefix = ask.prefix.encode()
        if spec.measure.is_sketch:
            sketches = await ready(self._sketches, partitions)
        for partition in partitions:
            if sketches is not None:
                new = sketches.rows.keys_in_memory(spec, partition)
                found += [k for k in new if k.startswith(prefix) and (after is None or k > after)]
            table = self._totals if sketches is None else sketches.table
            runs = KeyRuns(table.db(partition), spec, prefix, after)
            own: list[bytes] = []
            for key in runs.keys(oldest):
                if key is not None:
                    own.append(key)
                    if len(own) > ask.limit:
                        break
                await turns.next()
            found += own
        return sorted(set(found))[: ask.limit + 1]

    def merge(self, ask: KeysAsk, parts: list[list[bytes]]) -> object:
        """Return {"counter", "keys", "next"}; next: what after= has to be for the next page."""
        found = sorted(key for part in parts for key in part)
        keys = [key.decode() for key in islice(found, ask.limit)]
        if ask.as_csv:
            return csv_answer(("key",), [(key,) for key in keys])
        more = len(found) > ask.limit
        return {"counter": ask.counter, "keys": keys, "next": keys[-1] if more else None}


def top_range(spec: CounterSpec, args: dict[str, str], now: float) -> tuple[int, int]:
    """Return [begin, end) of what from=, to= and at= ask for, at edges of windows.

    at=: windows that begin after it are left out. Raises BadRequestError, OutsideRetentionError.
    """
    if args.get("at"):
        if args.get("to") or spec.window is None:
            raise BadRequestError(
                "at= needs a counter with windows, and cannot be combined with to="
            )
        at = parse_at(args, now)
        until = at - at % spec.window + spec.window
    begin, end = range_of(spec, time_of(args, "from"), time_of(args, "to"), now)
    if spec.window is None:
        return 0, FOREVER
    if args.get("at"):
        if until <= begin and args.get("from"):
            raise BadRequestError("at is before from")
        if until <= begin:
            range_of(spec, None, datetime.fromtimestamp(at, UTC), now)  # raises: it is not kept
        end = until
    return begin, ceil(end / spec.window) * spec.window


def csv_answer(head: tuple[str, ...], lines: list[Any]) -> Answer:
    """Return lines below a heading, as CSV."""
    written = CsvLines(head)
    at_once(written.write(lines))
    return Answer(OK, written.body(), CSV)


def _counter(counters: Counters, query: Query) -> CounterSpec:
    name = query.segments[1]
    if name not in counters:
        raise NotFoundError(f"no counter {name!r}; there are {', '.join(counters)}")
    return counters[name]


def register(
    gathering: Gathering, totals: Totals, counters: Counters, sketches: Sketches | None
) -> None:
    """Add the queries of a count worker. sketches: None without statistics."""
    gathering.add(paths.TOP_KEYS, TopKeys(KeySums(totals), counters, sketches))
    gathering.add(paths.KEYS, Keys(totals, counters, sketches))
