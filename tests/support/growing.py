"""Figures that are asked for again and again, of all count workers: none is ever lower."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Self

import aiohttp

from tests.support.waiting import wait_until

PATIENCE_S = 1.0  # for one answer
RETRY = "Retry-After"
PAUSE_S = 0.01  # others share the processor


class Growing:
    """Use as an async context manager: asks while inside, and fails at the end of it.

    paths: of answers that are or hold figures, which values() of an answer names.
    """

    def __init__(
        self, urls: Sequence[str], paths: Sequence[str], values: Callable[[Any], dict[str, Any]]
    ) -> None:
        self._urls, self._paths, self._values = urls, paths, values
        self._highest: dict[tuple[str, str], Any] = {}
        self.wrong: list[str] = []
        self.answers = dict.fromkeys(urls, 0)
        self._asking: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._asking = [asyncio.create_task(self._ask(url)) for url in self._urls]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._asking:
            task.cancel()
        ended = await asyncio.gather(*self._asking, return_exceptions=True)
        faults = [end for end in ended if not isinstance(end, asyncio.CancelledError)]
        assert [*faults, *self.wrong] == []

    async def answered_again(self) -> None:
        """Return once each worker has answered twice more, so once what was asked from now on."""
        before = dict(self.answers)
        expected = dict.fromkeys(before, True)
        await wait_until(
            lambda: {
                url: self.answers[url] >= before[url] + 2 * len(self._paths) for url in before
            },
            expected,
            deadline_s=60,
        )

    async def _ask(self, url: str) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while True:
                for path in self._paths:
                    before = dict(self._highest)  # a later answer may be on its way to another
                    try:
                        async with http.get(url + path) as answer:
                            status, said = answer.status, await answer.json()
                    except (aiohttp.ClientError, TimeoutError):
                        continue
                    finally:
                        await asyncio.sleep(PAUSE_S)
                    if status == HTTPStatus.OK:
                        self.answers[url] += 1
                        self._compare(path, self._values(said), before)
                    elif status != HTTPStatus.SERVICE_UNAVAILABLE or RETRY not in answer.headers:
                        self.wrong.append(f"{path}: {status} {said}")

    def _compare(
        self, path: str, found: dict[str, Any], before: dict[tuple[str, str], Any]
    ) -> None:
        for (asked, label), high in before.items():
            if asked == path and found.get(label, 0) < high:
                self.wrong.append(f"{path}: {label!r} is {found.get(label, 0)} after {high}")
        for label, value in found.items():
            place = path, label
            self._highest[place] = max(value, self._highest.get(place, 0))
