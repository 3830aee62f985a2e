"""The task that lets counters begin on partitions that nothing is sent to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from agents.watch_counters import register


async def test_a_counter_begins_where_this_worker_began_to_read_although_partitions_move() -> None:
    starts, begun = {0: 40, 1: 70}, list[tuple[int, int]]()
    tasks: list[Callable[[], Awaitable[None]]] = []
    app = SimpleNamespace(should_stop=False, task=tasks.append)

    class Beginnings:
        async def read(self) -> None:
            pass

        async def load(self, partition: int, position: int) -> None:
            begun.append((partition, position))
            starts.clear()  # as a rebalance does, while Kafka is asked

        async def close(self) -> None:
            pass

    async def sleep(_seconds: float) -> None:
        app.should_stop = True

    app.sleep = sleep
    begins: Any = Beginnings()
    sources: Any = SimpleNamespace(
        partitions=lambda: list(starts), started_at=lambda partition: starts.get(partition, 0)
    )
    register(app, begins, sources)
    await tasks[0]()
    assert begun == [(0, 40), (1, 70)]
