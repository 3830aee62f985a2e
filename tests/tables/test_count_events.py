"""The agent count_events: its batches are counted in steps, with others in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace

from agents.count_events import Counting
from app.counting.counters import Counters
from app.events.records import Batch
from tables.judges import Judges
from tables.partials import Partials
from tests.support.batches import batch_of

GATE = 1
EVENTS = 3000


def batch(first: int = 0, gate: int = GATE) -> Batch:
    values = [json.dumps({"type": "VIEW", "url": f"/{n % 900}"}).encode() for n in range(EVENTS)]
    return batch_of(values, first=first, gate=gate)


def counting(partials: Partials) -> tuple[Counting, SimpleNamespace]:
    """Return the agent's work, and the consumer whose gate it looks at."""
    consumer = SimpleNamespace(gate=GATE)
    return Counting(SimpleNamespace(consumer=consumer), partials, Judges(), None), consumer


def counted(partials: Partials, counters: Counters) -> int:
    row = counters["events_by_type"].keys.row("", 0, "VIEW")
    return sum(partials.load(0, [row])[row].cells.values())


async def test_others_have_their_turn_while_a_batch_is_counted(
    make_partials: Callable[[], Partials], counters: Counters
) -> None:
    partials, seen = make_partials(), list[int]()

    async def others() -> None:
        while True:
            seen.append(counted(partials, counters))
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    assert await counting(partials)[0].whole(batch())
    beside.cancel()
    assert len(set(seen)) > 3
    assert counted(partials, counters) == EVENTS


async def test_a_batch_whose_partition_moves_meanwhile_is_given_up_and_read_again(
    make_partials: Callable[[], Partials], counters: Counters
) -> None:
    partials = make_partials()
    count, consumer = counting(partials)

    async def rebalance() -> None:
        consumer.gate = GATE + 1
        partials.forget()

    moving = asyncio.create_task(rebalance())
    assert not await count.whole(batch())
    await moving
    assert counted(partials, counters) == 0, "the rest alone would pass for all of it"
    assert await count.whole(batch(gate=GATE + 1))
    assert counted(partials, counters) == EVENTS


async def test_a_batch_of_another_generation_is_not_counted(
    make_partials: Callable[[], Partials], counters: Counters
) -> None:
    partials = make_partials()
    count, consumer = counting(partials)
    consumer.gate = GATE + 1
    assert not await count.whole(batch())
    assert counted(partials, counters) == 0
