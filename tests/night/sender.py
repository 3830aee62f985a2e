"""Sends batches over HTTP, and knows of each what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus

import aiohttp

from tests.night.templates import SIZE, Template

AT_ONCE = 4
NAMED_EVERY = 20  # batches: one is named, and sent until it is acknowledged
AGAIN_S = 0.5
TIMEOUT = aiohttp.ClientTimeout(total=20)
REFUSED = HTTPStatus.TOO_MANY_REQUESTS  # or nobody is there: nothing of the body was taken


class Sender:
    """acknowledged: numbers of batches; unclear: those sent once that nobody acknowledged.

    go: sending rests while it is not set. again: named batches that were sent again.
    """

    def __init__(self, url: str, templates: list[Template], events: int) -> None:
        self._url, self._templates = url, templates
        self._numbers = iter(range(events // SIZE))
        self.go = asyncio.Event()
        self.acknowledged: set[int] = set()
        self.unclear: set[int] = set()
        self.again = 0

    @property
    def sent(self) -> int:
        """Return how many events were acknowledged."""
        return len(self.acknowledged) * SIZE

    def expected(self) -> Counter[tuple[str, str]]:
        """Return what acknowledged batches add up to, by url and type."""
        times = Counter(number % len(self._templates) for number in self.acknowledged)
        found: Counter[tuple[str, str]] = Counter()
        for which, count in times.items():
            for key, events in self._templates[which].counts.items():
                found[key] += events * count
        return found

    def expected_app(self) -> int:
        """Return how many events of acknowledged batches the archive keeps."""
        return sum(self._of(number).app for number in self.acknowledged)

    async def send(self) -> None:
        """Send all; return once each batch is acknowledged or unclear."""
        async with aiohttp.ClientSession(self._url, timeout=TIMEOUT) as http:
            await asyncio.gather(*(self._take_turns(http) for _ in range(AT_ONCE)))

    def _of(self, number: int) -> Template:
        return self._templates[number % len(self._templates)]

    async def _take_turns(self, http: aiohttp.ClientSession) -> None:
        for number in self._numbers:
            await self.go.wait()
            if number % NAMED_EVERY == 0:
                await self._send_named(http, number)
            else:
                await self._send_once(http, number)

    async def _send_named(self, http: aiohttp.ClientSession, number: int) -> None:
        """Send until it is acknowledged; its Idempotency-Key makes one of all of them."""
        while (
            await self._post(http, number, {"Idempotency-Key": f"night-{number}"}) != HTTPStatus.OK
        ):
            self.again += 1
            await asyncio.sleep(AGAIN_S)
        self.acknowledged.add(number)

    async def _send_once(self, http: aiohttp.ClientSession, number: int) -> None:
        while (status := await self._post(http, number, {})) == REFUSED:
            await asyncio.sleep(AGAIN_S)
        if status == HTTPStatus.OK:
            self.acknowledged.add(number)
        else:
            self.unclear.add(number)
            await asyncio.sleep(AGAIN_S)

    async def _post(self, http: aiohttp.ClientSession, number: int, headers: dict[str, str]) -> int:
        """Return the status, 0 where there is no answer."""
        body = self._of(number).numbered(number)
        headers = {"Content-Type": "application/x-ndjson", **headers}
        try:
            async with http.post("/events", data=body, headers=headers) as answer:
                text = await answer.text()
                assert answer.status in (200, 429, 503), (answer.status, text)
                if answer.status == HTTPStatus.OK:
                    found = await answer.json()
                    assert (found["accepted"], found["rejected"]) == (SIZE, 0), found
                return answer.status
        except aiohttp.ClientConnectorError:
            return REFUSED
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0
