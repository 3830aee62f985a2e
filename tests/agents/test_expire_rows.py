"""What expires when: the clock and the records decide together."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

import agents.expire_rows
from app.transport.ownership import Ownership

DAY = 86_400


class App:
    """Keeps the timer, to call it by hand; newest_ms: of the records that were read."""

    def __init__(self, newest_ms: float) -> None:
        self.consumer = SimpleNamespace(newest_ms=int(newest_ms))

    def timer(self, **_: Any) -> Callable[[Callable[[], Awaitable[None]]], None]:
        def keep(timer: Callable[[], Awaitable[None]]) -> None:
            self.expire_rows = timer

        return keep


class Table:
    """Counts how often it is asked to expire rows."""

    asked = 0

    async def expire(self, partitions: Iterable[int]) -> int:
        assert list(partitions) == [3]
        self.asked += 1
        return 0


@pytest.mark.parametrize(("ahead_s", "expires"), [(0, 1), (-1800, 1), (1800, 1), (70 * DAY, 0)])
async def test_a_clock_that_jumps_ahead_of_the_records_deletes_nothing(
    ahead_s: int, expires: int
) -> None:
    app, table = App((time.time() - ahead_s) * 1000), Table()
    owned = cast("Ownership", SimpleNamespace(partitions=lambda: [3]))
    agents.expire_rows.register(app, [(table, owned)])
    await app.expire_rows()
    assert table.asked == expires


async def test_nothing_expires_before_the_first_record() -> None:
    assert not agents.expire_rows.confirmed(time.time(), 0)
