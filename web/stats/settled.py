"""Answers that wait until what they read is cheap to read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tables.totals import Totals
from web.query.messages import Answer, Query
from web.query.queries import Queries


def settled(
    queries: Queries,
    totals: Totals,
    counter: str,
    key: str,
    query: Query,
    answer: Callable[[], Answer],
) -> Answer | Awaitable[Answer]:
    """Return what answer() returns, once reading the key's total of all time is cheap.

    Nearly always that is at once; a key with years of hours may take some turns, once.
    """
    if totals.settle(counter, key):
        return answer()

    async def later() -> Answer:
        await asyncio.sleep(0)
        queries.check_owner(totals.partition_of(key), query)
        while not totals.settle(counter, key):
            await asyncio.sleep(0)
            queries.check_owner(totals.partition_of(key), query)
        return answer()

    return later()
