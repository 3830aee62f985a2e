"""Answers that cost something: made once for all who ask meanwhile, given again for a moment."""

from __future__ import annotations

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

from app.errors import UnavailableError
from web.query.least import least

TIMES = 10  # as long as an answer took to make it may be given again: a tenth of the CPU at most
AT_ONCE = 8  # questions that are being answered
KEPT = 256  # answers

T = TypeVar("T")


class Reuse(Generic[T]):
    """Answers by question. most_s: how old one may be, however long it took, seconds.

    Who gives up waiting does not stop the making: the next who asks finds it done.
    """

    def __init__(self, most_s: float, at_once: int = AT_ONCE) -> None:
        """at_once: questions that may be on their way."""
        self._most_s, self._at_once = most_s, at_once
        self._made: dict[Hashable, _Made[T]] = {}

    def __len__(self) -> int:
        """Return how many questions are known."""
        return len(self._made)

    async def get(self, question: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to a question, made now or lately.

        Raises UnavailableError where as many other queries are running, also after what
        the query may wait.
        """
        if (asked := least.get()) is not None:  # what was made before may hold less
            question = question, tuple(sorted(asked.positions.items()))
        while (made := self._made.get(question)) is None or made.fresh_until < monotonic():
            if busy := self._busy():
                await _wait_for_one(busy, 0.0 if asked is None else asked.left_s)
            else:
                self._make_room()
                made = self._made[question] = _Made(make, self._most_s)
                break
        return await asyncio.shield(made.task)

    def _busy(self) -> list[asyncio.Task[T]]:
        """Return what is on its way where no more may be; else nothing."""
        busy = [made.task for made in self._made.values() if not made.task.done()]
        return busy if len(busy) >= self._at_once else []

    def _make_room(self) -> None:
        if len(self._made) >= KEPT:
            now = monotonic()
            self._made = {q: made for q, made in self._made.items() if made.fresh_until >= now}


async def _wait_for_one(busy: list[asyncio.Task[T]], wait_s: float) -> None:
    done = wait_s and (await asyncio.wait(busy, timeout=wait_s, return_when=FIRST_COMPLETED))[0]
    if not done:
        raise UnavailableError(f"{len(busy)} other queries are running")


class _Made(Generic[T]):
    """One answer, on its way or there; it fails for those who wait, and is made anew then."""

    def __init__(self, make: Callable[[], Awaitable[T]], most_s: float) -> None:
        self.fresh_until = float("inf")
        self._most_s = most_s
        self.task = asyncio.ensure_future(self._run(make))
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _run(self, make: Callable[[], Awaitable[T]]) -> T:
        begun = monotonic()
        took = 0.0
        try:
            answer = await make()
            took = monotonic() - begun
            return answer
        finally:
            self.fresh_until = monotonic() + min(TIMES * took, self._most_s) if took else 0
