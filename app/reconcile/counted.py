"""Until when events count: in `events`, in `counts` and, with statistics, in `uniques`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.kafka.watermarks import Offsets, Say, Watermarks, wait_for
from app.names import Names

WORKERS_S = 60.0  # for the count and store workers: one that died is back by then

ReadTo = Callable[[str, Offsets], Awaitable[object]]  # until a topic is read up to a goal


async def wait_for_counting(
    kafka: Watermarks, names: Names, goal: Offsets, reach: ReadTo
) -> Offsets:
    """Return once `events` is counted up to a goal, merged, and has raised its alerts.

    Returns the ends of `counts` that were waited for. Raises what reach does.
    """
    await reach(names.events, goal)
    merged = await kafka.ends(names.counts)
    await reach(names.counts, merged)
    # The topic says it, not the settings: a rebuild may be the first that is run with statistics.
    if await kafka.has(names.uniques):
        await reach(names.uniques, await kafka.ends(names.uniques))
    return merged


def by_group(kafka: Watermarks, names: Names, say: Say) -> ReadTo:
    """Return what waits for the count workers; raises StartError where they stand still."""
    who = {names.counts: "the tables", names.uniques: "distinct values"}

    async def reach(topic: str, goal: Offsets) -> None:
        async def position() -> Offsets:
            return await kafka.committed(names.count_group, topic)

        await wait_for(who.get(topic, "the count workers"), position, goal, WORKERS_S, say)

    return reach
