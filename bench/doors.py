"""What the doors for browsers and for other clients cost, beside the plain ones.

PUT /event_generate/ as a browser sends it from a page of another origin: to a collector that lists
the origin, and to one that lists none. And batches as Segment's client for Python makes them, next
to POST /events with as many of the same events.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench.support.costs import PutCost, put_cost
from bench.support.load_client import Load, request
from bench.support.results import Report, options
from bench.support.stack import BenchWorker, Stack

CONNECTIONS = 64
BATCH_CONNECTIONS = 8
BATCH = 100  # events, as the client sends them at most
BATCHES = 50  # different ones
PUTS = 2000  # different ones
ORIGIN = "https://shop.example.net"
# What Chromium sends with a fetch() of another origin.
BROWSER = {
    "Origin": ORIGIN,
    "Referer": f"{ORIGIN}/",
    "User-Agent": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/142.0.0.0 Safari/537.36"
    ),
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "cross-site",
}
CORS_TARGET, SEGMENT_TARGET = 1.05, 0.6


def ours(number: int, now: str) -> dict[str, Any]:
    """Return an event in the canonical form."""
    url = f"/shop/page/{number % 1000:09d}"
    return {
        "type": "CLICK",
        "url": url,
        "user_id": f"{number % 9973:06d}",
        "timestamp": now,
        "message_id": f"{number:08x}-0000-4000-8000-{number:012x}",
        "properties": {"url": url},
    }


def segments(number: int, now: str) -> dict[str, Any]:
    """Return the same event as segment-analytics-python sends it."""
    event = ours(number, now)
    return {
        "integrations": {},
        "anonymousId": None,
        "properties": event["properties"],
        "timestamp": now,
        "userId": event["user_id"],
        "event": event["type"],
        "type": "track",
        "context": {"library": {"name": "analytics-python", "version": "2.3.4"}},
        "messageId": event["message_id"],
    }


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, seconds: float) -> None:
        self._report, self._seconds = report, seconds
        self._log = stack.folder / "logs" / "load.log"
        now, encode = datetime.now(UTC).isoformat(), msgspec.json.encode
        puts = [ours(number, now) for number in range(PUTS)]
        self._puts = [request("PUT", "/event_generate/", encode(e), BROWSER) for e in puts]
        places = [range(at, at + BATCH) for at in range(0, BATCH * BATCHES, BATCH)]
        self._events = [
            request("POST", "/events", encode([ours(n, now) for n in place])) for place in places
        ]
        batches = [{"batch": [segments(n, now) for n in place]} for place in places]
        around = {"sentAt": now, "writeKey": "a-key"}
        self._segments = [request("POST", "/v1/batch", encode(b | around)) for b in batches]

    async def repeat(self, plain: BenchWorker, listing: BenchWorker, *, swap: bool) -> None:
        """Measure all of them once, one after the other; swap: in the other order."""
        puts: dict[str, float] = {}
        both = [("without CORS", plain), ("with CORS", listing)]
        for name, collector in reversed(both) if swap else both:
            rate, used = await self._put(collector, self._puts, CONNECTIONS)
            self._report.figure(f"PUT {name}", rate, "events/s")
            puts[name] = self._report.figure(f"PUT {name}: CPU of the collector", used, "us/event")
        self._report.check(
            "PUT with CORS / without, CPU of the collector",
            puts["with CORS"] / puts["without CORS"],
            at_most=CORS_TARGET,
        )
        good = f'"accepted":{BATCH},"rejected":0'.encode()
        found = await self._put(plain, self._events, BATCH_CONNECTIONS, good)
        events = BATCH * found.per_second
        self._report.figure(f"POST /events, {BATCH} each", events, "events/s")
        good = b'{"success":true}'
        found = await self._put(plain, self._segments, BATCH_CONNECTIONS, good)
        batches = BATCH * found.per_second
        self._report.figure(f"POST /v1/batch, {BATCH} each", batches, "events/s")
        self._report.check(
            "POST /v1/batch / POST /events", batches / events, at_least=SEGMENT_TARGET
        )

    async def _put(
        self, collector: BenchWorker, requests: list[bytes], connections: int, good: bytes = b""
    ) -> PutCost:
        """Return what the requests cost."""
        load = Load(collector.port, connections, self._seconds, requests, must_hold=good)
        return await put_cost(load, self._log, collector)


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    chosen: argparse.Namespace = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.repeats = 2.0, 1
    report = Report("doors", chosen)
    report.note("Load client, both collectors and Kafka share the cores; one collector is idle.")
    async with Stack() as stack:
        bench = Bench(stack, report, chosen.seconds)
        settings = await stack.settings()
        listing = settings.model_copy(update={"origins": ORIGIN})
        async with (
            stack.worker(settings, "collect") as without,
            stack.worker(listing, "collect", number=2) as with_cors,
        ):
            for number in report.repeats():
                await bench.repeat(without, with_cors, swap=bool(number % 2))
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
