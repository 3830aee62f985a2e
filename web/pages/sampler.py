"""Asks once a second for what the pages show, once for all of them, and publishes it.

Each panel is asked for by a loop of its own through the same functions as its HTTP call, so that
a slow answer holds up nothing else. Nobody is asked while no page is open.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from app.errors import CounterError
from app.lasting import Lasting
from web.pages.feed import Feed
from web.query.messages import Answer

log = logging.getLogger(__name__)

TICK_S = 1.0
REST_AFTER_S = 60.0  # without a follower
BREATH_S = 0.1  # between two questions, however slow the answers are

Point = Callable[[], Mapping[str, object]]


class Panel(NamedTuple):
    """What a panel shows; every_s: between two questions."""

    name: str
    ask: Callable[[], Awaitable[Answer]]
    every_s: float = 1.0


class Sampler:
    """What it finds goes into the feed; keeper: does it, from start() on."""

    def __init__(self, feed: Feed, point: Point, *panels: Panel) -> None:
        """point: the figures of this second, without "at"."""
        self._feed, self._point, self._panels = feed, point, panels
        self._known: dict[str, bytes] = {}
        self._changed: dict[str, bytes] = {}
        self.keeper = Lasting("nothing feeds the pages any more")

    def start(self) -> None:
        """Begin, in the background."""
        self.keeper.start(self._tick(), *(self._keep(panel) for panel in self._panels))

    async def _tick(self) -> None:
        last_needed, due = float("-inf"), next_due(0.0, time.time())
        while True:
            await asyncio.sleep(due - time.time())
            due = next_due(due, time.time())
            if self._feed.followers:
                last_needed = time.monotonic()
            elif time.monotonic() - last_needed > REST_AFTER_S:
                self._feed.wanted.clear()
            point = {"at": time.time_ns() // 1_000_000, **self._point()}
            changed, self._changed = self._changed, {}
            self._feed.publish(point, changed)

    async def _keep(self, panel: Panel) -> None:
        while True:
            await self._feed.wanted.wait()
            begun = time.monotonic()
            self._note(panel.name, await _answer(panel))
            await asyncio.sleep(max(BREATH_S, panel.every_s - (time.monotonic() - begun)))

    def _note(self, name: str, answer: Answer) -> None:
        body = b'{"name":"%b","status":%d,"body":%b}' % (
            name.encode(),
            answer.status,
            answer.body,
        )
        if body != self._known.get(name):
            self._known[name] = self._changed[name] = body


def next_due(due: float, now: float) -> float:
    """Return the next whole second, s since 1970, after a tick that was due.

    A sleep may end a little before its time: that second must not be ticked again, unless the
    clock was set back.
    """
    after = due + TICK_S
    return after if now < after <= now + 2 * TICK_S else float(math.ceil(now))


async def _answer(panel: Panel) -> Answer:
    try:
        return await panel.ask()
    except CounterError as exc:
        return Answer.error(exc)
    except Exception:
        log.exception("panel %s failed", panel.name)
        return Answer.error(CounterError(f"panel {panel.name} failed"))
