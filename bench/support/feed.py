"""A steady flow of events straight into Kafka, as a process of its own: see flowing()."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

from app.names import Names
from app.settings import Settings
from bench.support.backlog import Mix, Writer
from bench.support.peer import given, running, say

TICK_S = 0.02
LOOP_S = 60  # of events made beforehand, sent again and again


async def feed(kafka: str, topic: str, partitions: int, rate: int, seed: int) -> None:
    """Send for ever; says so once it begins."""
    share = int(rate * TICK_S)
    mix = Mix(share * int(LOOP_S / TICK_S), 1000, seed)
    values = list(mix.values(time.time()))
    async with Writer(kafka, topic, partitions) as writer:
        at, next_tick = 0, time.perf_counter()
        say(begun=True)
        while True:
            await writer.write(values[at : at + share])
            at = (at + share) % len(values)
            next_tick += TICK_S
            await asyncio.sleep(max(0.0, next_tick - time.perf_counter()))


@contextlib.asynccontextmanager
async def flowing(settings: Settings, rate: int, seed: int, log: Path) -> AsyncIterator[None]:
    """Let so many events a second flow into the topic events while inside."""
    facts = {
        "kafka": settings.kafka,
        "topic": Names(settings.namespace).events,
        "partitions": settings.events_partitions,
        "rate": rate,
        "seed": seed,
    }
    async with running("bench.support.feed", log, given=facts) as process:
        await process.says()
        yield


if __name__ == "__main__":
    uvloop.run(feed(**given()))
