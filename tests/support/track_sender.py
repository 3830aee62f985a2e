"""A sender of app events: `python -m tests.support.track_sender URL TOKEN FIRST COUNT`.

Posts the events FIRST to FIRST + COUNT - 1 to /track; ends with 0 once all are acknowledged.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp

from tests.support.archive import app_events

AT_ONCE = 10
CREATED = {"detail": "Event created"}


async def send(url: str, token: str, first: int, count: int) -> None:
    """Send all; stop at the first answer that is not the promised one."""
    waiting = iter(app_events(range(first, first + count)))
    async with aiohttp.ClientSession(headers={"X-Token": token}) as http:

        async def one_after_the_other() -> None:
            for event in waiting:
                async with http.post(f"{url}/track", data=event) as answer:
                    assert (answer.status, await answer.json()) == (200, CREATED)

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
