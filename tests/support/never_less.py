"""Somebody who asks all the while, and whom no figure may disappoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp

from web.query.messages import AS_OF

TIMEOUT = aiohttp.ClientTimeout(total=5)
PAUSE_S = 0.01


@asynccontextmanager
async def never_less(urls: Sequence[str], pages: Sequence[str]) -> AsyncIterator[None]:
    """Ask while inside, and fail at the end once a figure went down, or hardly any came."""
    asker = NeverLess(urls, pages)
    asking = asyncio.create_task(asker.ask())
    yield
    assert not asking.done(), asking.exception()
    asking.cancel()
    assert asker.answers > len(pages)


class NeverLess:
    """Asks each worker for each page in turn; answers: how many of them held figures.

    What says how old it is comes from a worker that may be cut off: it is no figure of now.
    """

    def __init__(self, urls: Sequence[str], pages: Sequence[str]) -> None:
        self._urls, self._pages = urls, pages
        self._highest: dict[tuple[str, str], int] = {}
        self.answers = 0

    async def ask(self) -> None:
        """Ask until cancelled; fail once a count is below one that was answered before."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
            while True:
                for page in self._pages:
                    for url in self._urls:
                        await self._ask(http, url, page)
                await asyncio.sleep(PAUSE_S)

    async def _ask(self, http: aiohttp.ClientSession, url: str, page: str) -> None:
        try:
            async with http.post(f"{url}/event_track/", json={"url": page}) as answer:
                if answer.status != HTTPStatus.OK or AS_OF in answer.headers:
                    return
                found = (await answer.json())["events"]
        except (aiohttp.ClientError, OSError, TimeoutError):
            return  # it is dead, or frozen
        self.answers += 1
        for one in found:
            key, count = (page, one["type"]), one["count"]
            before = self._highest.get(key, 0)
            assert count >= before, f"{url}: {key} went down from {before} to {count}"
            self._highest[key] = count
