"""GET /stats/page_views: the pages of a website."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from time import time

from app.counting.counters import Counters
from app.counting.spec import HOUR
from app.counting.stats_window import parse_at, parse_limit
from app.errors import BadRequestError
from app.events.derived import website as website_of
from app.transport.ownership import Ownership
from tables.pages_of_website import first_pages, read_pages
from tables.totals import Totals
from web.http import paths
from web.query.gather import Undisturbed
from web.query.messages import Answer, Query
from web.query.queries import Queries
from web.query.reuse import Reuse

REUSE_S = 60.0  # a website of 100,000 pages and a year takes a minute to read, in turns
LIMIT_MAX = 1000

PagesFound = tuple[int, list[tuple[str, int]]]  # all views, and the pages with the most


def register(queries: Queries, totals: Totals, owned: Ownership, counters: Counters) -> None:
    """Add the query of a count worker."""
    spec = counters["page_views_by_website_hourly"]
    reuse = Reuse[PagesFound](REUSE_S)

    async def read(website: str, end: int, limit: int, check: Undisturbed) -> PagesFound:
        pages = await read_pages(totals, spec, website, end, check.check)
        return sum(pages.values()), await first_pages(pages, limit)

    async def answer(asked: str, website: str, end: int, limit: int) -> Answer:
        undisturbed = Undisturbed(owned)
        make = partial(read, website, end, limit, undisturbed)
        views, pages = await undisturbed.wait(reuse.get((website, end, limit), make))
        listed = [{"page": page, "views": count} for page, count in pages]
        return Answer.json({"website": asked, "views": views, "pages": listed})

    def page_views(query: Query) -> Awaitable[Answer]:
        """GET ?website=W&at=&limit=1000 -> {"website", "views", "pages": [{"page", "views"}]}."""
        args = query.args
        if (asked := args.get("website")) is None:
            raise BadRequestError("website= is missing: the host of a url, e.g. shop.example")
        website = website_of(asked)  # as those of events: Shop.Example is shop.example
        limit = parse_limit(args, default=LIMIT_MAX, most=LIMIT_MAX)
        at = parse_at(args, time())
        queries.check_owner(totals.partition_of(website), query)
        return answer(asked, website, at - at % HOUR + HOUR, limit)

    queries.add(paths.PAGE_VIEWS, page_views)
