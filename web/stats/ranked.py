"""GET /stats/top_pages and /stats/bots: the keys of a counter with the most events in a window."""

from __future__ import annotations

from functools import partial
from time import time
from typing import Any

import msgspec

from app.counting.counters import Counters
from app.counting.ranking import rank_of
from app.counting.stats_window import (
    HOURS,
    MINUTES,
    SECONDS,
    Window,
    parse_limit,
    parse_window,
    split,
)
from tables.rankings import Rankings
from tables.totals import Totals
from web.http import paths
from web.http.paths import Call
from web.query.gather import GatheredQuery, Gathering
from web.query.messages import Query
from web.query.reuse import Reuse

REUSE_S = 1.0
LIMIT_MAX = 1000

Ranked = tuple[list[tuple[bytes, int]], int]  # (key, count), and the sum of all


class RankedAsk(msgspec.Struct, array_like=True, frozen=True):
    """What is asked; now: the clock of the worker that was. live: no other moment was given."""

    window: Window
    limit: int
    now: float
    live: bool


class RankedQuery(GatheredQuery[RankedAsk, Ranked]):
    """The limit keys with the most events."""

    ask_type, part_type = RankedAsk, Ranked
    default_limit: int

    def __init__(self, rankings: Rankings) -> None:
        self._rankings = rankings
        self._reuse = Reuse[Ranked](REUSE_S)

    def parse(self, query: Query) -> RankedAsk:
        """Read window=, at=, limit=."""
        args, now = query.args, time()
        window = parse_window(args, now, default_s=3600)
        split(window, now)  # raises where it is not kept
        limit = parse_limit(args, default=self.default_limit, most=LIMIT_MAX)
        return RankedAsk(window, limit, now, not args.get("at"))

    async def local(self, ask: RankedAsk, partitions: list[int]) -> Ranked:
        """Return the first keys of these partitions: each key is on one of them."""
        runs = split(ask.window, ask.now)
        moment = None if ask.live else ask.window.at
        question = ask.window.size, moment, ask.limit, tuple(partitions)
        make = partial(self._rankings.top, partitions, runs, ask.limit)
        return await self._reuse.get(question, make)

    def merge(self, ask: RankedAsk, parts: list[Ranked]) -> object:
        """Return the answer."""
        ranked = sorted((one for keys, _ in parts for one in keys), key=rank_of)[: ask.limit]
        keys = [(key.decode(), count) for key, count in ranked]
        return self.answer(ask.window.size, keys, sum(total for _, total in parts))

    def answer(self, window_s: int, ranked: list[tuple[str, int]], total: int) -> object:
        """Return the answer as JSON."""
        raise NotImplementedError


class TopPages(RankedQuery):
    """GET ?limit=5&window=3600&at= -> the pages with the most views."""

    default_limit = 5

    def answer(self, window_s: int, ranked: list[tuple[str, int]], total: int) -> object:
        """Return {"window_s", "pages": [{"page", "views"}]}."""
        del total
        pages = [{"page": page, "views": views} for page, views in ranked]
        return {"window_s": window_s, "pages": pages}


class Bots(RankedQuery):
    """GET ?window=3600&at=&limit= -> how many page views the bot rule left out, and whose."""

    default_limit = LIMIT_MAX

    def answer(self, window_s: int, ranked: list[tuple[str, int]], total: int) -> object:
        """Return {"window_s", "dropped", "users": [{"user_id", "dropped"}]}."""
        users = [{"user_id": user, "dropped": dropped} for user, dropped in ranked]
        return {"window_s": window_s, "dropped": total, "users": users}


def register(gathering: Gathering, totals: Totals, counters: Counters) -> None:
    """Add the queries of a count worker."""
    kinds: dict[Call, tuple[str, type[RankedQuery]]] = {
        paths.TOP_PAGES: ("page_views_by_page", TopPages),
        paths.BOTS: ("bot_views_by_user", Bots),
    }
    for call, (counter, kind) in kinds.items():
        levels: dict[Any, str] = {SECONDS: "secondly", MINUTES: "minutely", HOURS: "hourly"}
        specs = {level: counters[f"{counter}_{name}"] for level, name in levels.items()}
        gathering.add(call, kind(Rankings(totals, specs)))
