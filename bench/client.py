"""What event_counter_client costs whoever sends: 100,000 events/s offered, from one thread.

In CPU time of that thread, against what one would write first: a uuid4 and queue.Queue. The
client's own thread posts to a collector meanwhile, and drops what it does not manage.
"""

from __future__ import annotations

import argparse
import asyncio
import queue
import tempfile
import time
import uuid
from collections.abc import Callable

from bench.support.results import Report, options
from bench.support.stack import Stack
from event_counter_client import Client

RATE = 100_000  # events/s
AT_ONCE = 100  # events without a pause: as they come while others have the processor
Send = Callable[[int], object]


def offer(send: Send, seconds: float) -> tuple[float, float]:
    """Send for so long; return us of CPU an event, and events/s that were offered."""
    used, sent = 0.0, 0
    began = time.perf_counter()
    while (now := time.perf_counter() - began) < seconds:
        if sent >= now * RATE:
            time.sleep(AT_ONCE / RATE / 2)
            continue
        before = time.thread_time()
        for number in range(sent, sent + AT_ONCE):
            send(number)
        used += time.thread_time() - before
        sent += AT_ONCE
    return used / sent * 1e6, sent / seconds


def by_client(client: Client) -> Send:
    """Return what sends by the client."""
    return lambda number: client.send(
        "CLICK", f"/products/{number % 1000}", user_id=f"user-{number}", value=1.5
    )


def by_queue() -> Send:
    """Return what queues an event with a message_id, and nothing more."""
    waiting: queue.Queue[dict[str, object]] = queue.Queue()

    def send(number: int) -> None:
        event = {"type": "CLICK", "url": f"/products/{number % 1000}", "value": 1.5}
        event |= {"user_id": f"user-{number}", "message_id": str(uuid.uuid4())}
        event["timestamp"] = time.time()
        waiting.put_nowait(event)

    return send


def repeat(url: str, report: Report, chosen: argparse.Namespace, spool: str) -> None:
    """Measure all of them once, one after the other."""
    peer, _ = offer(by_queue(), chosen.seconds)
    report.figure("uuid4 and queue.Queue, an event", peer, "us")
    with Client(url) as client:
        cost, rate = offer(by_client(client), chosen.seconds)
        client.flush()
    stats = client.stats()
    report.figure("client: offered", rate, "events/s")
    report.figure("client: taken by the server", stats.accepted / chosen.seconds, "events/s")
    report.check("client: send(), an event", cost, "us", at_most=5)
    report.check("client: send() / uuid4 and queue.Queue", cost / peer, at_most=1)
    with Client(url, spool=spool) as client:
        cost, rate = offer(by_client(client), chosen.seconds)
        client.flush()
    report.figure("client with a spool: send(), an event", cost, "us")
    report.figure("client with a spool: offered", rate, "events/s")


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.repeats = 2.0, 1
    report = Report("client", chosen)
    report.note("CPU time of the thread that sends; the client's own thread and Kafka beside it.")
    async with Stack() as stack:
        settings = await stack.settings()
        async with stack.worker(settings, "collect") as collector:
            for _ in report.repeats():
                with tempfile.TemporaryDirectory() as spool:
                    url = f"http://127.0.0.1:{collector.port}"
                    await asyncio.to_thread(repeat, url, report, chosen, spool)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
