"""What all open pages are told, encoded once: server-sent events, with a memory for the late.

A follower needs no queue of its own: it knows the number of the last tick it was sent, and what
it missed is put together from the ring when it can take more. So a slow page costs no memory, and
a page that was away finds the points of the last minutes where it left off.

Format: html.spec.whatwg.org, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Mapping

import msgspec

POINTS = 300  # ticks that are kept: five minutes, the width of the chart
AGAIN_MS = 1000  # a browser's own client waits so long before it connects again

_encode = msgspec.json.Encoder().encode


def event(name: str, data: bytes, number: str = "") -> bytes:
    """Return one event; data: without line breaks, as compact JSON is."""
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {name}\ndata: ".encode() + data + b"\n\n"


class Feed:
    """Ticks, numbered from 1; each has one point and the panels that changed since the last one."""

    def __init__(self, boot: str = "") -> None:
        """boot: tells the numbers of this process from those of the one before it."""
        self.followers = 0
        self.wanted = asyncio.Event()  # set by a follower; cleared by who stops filling the feed
        self._boot = boot or secrets.token_hex(4)
        self._number = 0
        self._points: deque[bytes] = deque(maxlen=POINTS)
        self._panels: dict[str, bytes] = {}
        self._tick = b""
        self._came = asyncio.Event()
        self._is_closed = False

    def publish(self, point: Mapping[str, object], panels: Mapping[str, bytes]) -> None:
        """Tell all; panels: JSON of those that changed, by name."""
        self._number += 1
        told = {name: event("panel", body) for name, body in panels.items()}
        self._panels.update(told)
        self._points.append(event("point", _encode(point), f"{self._boot}-{self._number}"))
        self._tick = b"".join((*told.values(), self._points[-1]))
        self._wake()

    def close(self) -> None:
        """End all followers."""
        self._is_closed = True
        self._wake()

    async def follow(self, last_id: str = "") -> AsyncGenerator[bytes, None]:
        """Yield events as they come; first what was missed, and each panel as it is now.

        last_id: of the last event that the follower has seen. Ends with close().
        """
        seen = self._place_of(last_id)
        self.followers += 1
        self.wanted.set()
        try:
            text = f"retry: {AGAIN_MS}\n\n".encode() + self._since(seen)
            seen = self._number  # before the yield: ticks come while the text is on its way
            yield text
            while not self._is_closed:
                if seen == self._number:
                    await self._came.wait()
                    continue
                text = self._tick if seen == self._number - 1 else self._since(seen)
                seen = self._number
                yield text
        finally:
            self.followers -= 1

    def _wake(self) -> None:
        self._came.set()
        self._came = asyncio.Event()

    def _place_of(self, last_id: str) -> int:
        """Return the number in an id of this process, 0 for any other."""
        boot, _, number = last_id.rpartition("-")
        known = boot == self._boot and number.isascii() and number.isdigit()
        return int(number) if known and len(number) < len(str(2**63)) else 0

    def _since(self, seen: int) -> bytes:
        missed = min(max(self._number - seen, 0), len(self._points))
        points = list(self._points)[len(self._points) - missed :]
        return b"".join((*points, *self._panels.values()))
