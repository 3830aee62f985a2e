"""Reading many rows while others have their turn."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import islice
from time import perf_counter, thread_time
from typing import Any, TypeVar

TURN_ROWS = 2048  # then others have their turn: some 4 ms
TURN_S = 0.004
SAMPLES = 16  # of a bucket, so that few are much larger than others
BUCKET_ROWS = 20_000  # put into theirs in a turn, 10 ms
SORT_ITEMS = 5000  # in a step, a few milliseconds

# A step of work on records; the first one is small, as nothing is known of them yet.
STEP_S = 0.02
STEP_FIRST, STEP_LEAST, STEP_MOST = 250, 50, 20_000

T = TypeVar("T")
InSteps = Generator[None, None, T]  # stops after each few milliseconds; returns what it made


def nothing() -> None:
    """Check it."""


async def in_turns(rows: Iterable[T], check: Callable[[], None]) -> AsyncIterator[list[T]]:
    """Yield rows in lists; others run between two, and then check() may raise.

    check: whether the table that is read from is still ours. A few rows take no turn: on a busy
    worker each costs some milliseconds.
    """
    left = iter(rows)
    check()
    while some := list(islice(left, TURN_ROWS)):
        yield some
        if len(some) < TURN_ROWS:
            return
        await asyncio.sleep(0)
        check()


async def in_buckets(items: Sequence[T], size: int, key: Callable[[T], bytes]) -> list[list[T]]:
    """Return items in lists of about `size`, each unsorted, all of one before all of the next.

    Others run meanwhile. Whoever sorts one after the other has all of them in order, without a
    sort of half a million in one turn. Items of the same key share a list.
    """
    if len(items) <= size:
        return [list(items)]
    sample = sorted(map(key, items[:: max(1, size // SAMPLES)]))
    edges = sample[SAMPLES::SAMPLES]
    buckets: list[list[T]] = [[] for _ in range(len(edges) + 1)]
    for begin in range(0, len(items), BUCKET_ROWS):
        for item in items[begin : begin + BUCKET_ROWS]:
            buckets[bisect_right(edges, key(item))].append(item)
        await asyncio.sleep(0)
    return [bucket for bucket in buckets if bucket]


def at_once(steps: InSteps[T]) -> T:
    """Return what steps make, and let nobody in between."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def turn_of(steps: InSteps[T]) -> tuple[T] | None:
    """Go on with steps for TURN_S; return what they made, as a tuple, None: they are not done."""
    until = perf_counter() + TURN_S
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return (done.value,)
        if perf_counter() > until:
            return None


def in_order(items: Iterable[T], key: Callable[[T], Any] | None = None) -> InSteps[Iterator[T]]:
    """Return items as sorted() does, as an iterator: many are sorted some at a time."""
    left, pieces = iter(items), list[list[T]]()
    while some := list(islice(left, SORT_ITEMS)):
        pieces.append(sorted(some, key=key))  # type: ignore[type-var,arg-type]
        yield
    return iter(pieces[0]) if len(pieces) == 1 else merge(*pieces, key=key)  # type: ignore[arg-type]


class Turns:
    """Lets others have their turn where TURN_S have passed since they had it.

    check: asked after a turn of others; raises where there is nothing to go on with.
    """

    def __init__(self, check: Callable[[], None] = nothing) -> None:
        self._check, self._since = check, perf_counter()

    async def next(self) -> None:
        """Call it between steps of a few milliseconds."""
        if perf_counter() - self._since > TURN_S:
            await asyncio.sleep(0)
            self._check()
            self._since = perf_counter()


class Steps:
    """Cuts work into steps of about STEP_S each, by what the ones before took."""

    def __init__(self) -> None:
        self._size = STEP_FIRST

    def cut(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """Yield the items in their order, some at a time; the work on them goes into step()."""
        at = 0
        while at < len(items):
            size = self._size
            yield items[at : at + size]
            at += size

    async def over(
        self, items: Sequence[T], go_on: Callable[[], bool]
    ) -> AsyncIterator[Sequence[T]]:
        """Yield the items as cut() does, and measure the work on them; others run between two.

        go_on: asked before each step; where it says no, the rest is left out.
        """
        for part in self.cut(items):
            if not go_on():
                return
            with self.step(part):
                yield part
            if len(part) < len(items):
                await asyncio.sleep(0)

    @contextmanager
    def step(self, items: Sequence[object]) -> Iterator[None]:
        """Measure the work on some items, in CPU: what it awaits is not its own."""
        began = thread_time()
        yield
        took_s = max(thread_time() - began, 1e-6)
        fitting = int(len(items) * STEP_S / took_s)
        self._size = max(STEP_LEAST, min(fitting, 2 * self._size, STEP_MOST))
