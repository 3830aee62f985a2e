"""Rankings over windows: equal to a count by hand, whatever is merged in between."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import tables.rankings
import tables.turns
from app.counting.counters import Counters
from app.counting.ranking import rank_of
from app.counting.row_keys import SOURCE
from app.counting.stats_window import HOURS, MINUTES, SECONDS, Window, split
from app.errors import RecoveringError
from tables.rankings import Rankings
from tables.totals import Totals

LEVELS = {
    SECONDS: "page_views_by_page_secondly",
    MINUTES: "page_views_by_page_minutely",
    HOURS: "page_views_by_page_hourly",
}
NOW = 1_700_000_000 + 1234
Views = list[tuple[int, str, int]]  # second, page, source partition


class Scene:
    """Totals that are told of views as count_events would, and a count by hand."""

    def __init__(self, totals: Totals, counters: Counters) -> None:
        self.totals = totals
        self.specs = {level: counters[name] for level, name in LEVELS.items()}
        self.rankings = Rankings(totals, self.specs)
        self._sums: Counter[bytes] = Counter()
        self._views: Views = []

    async def view(self, views: Views) -> None:
        """Merge views."""
        self._views += views
        records: dict[int, list[Any]] = {}
        for second, page, source in views:
            for spec in self.specs.values():
                start, slot = spec.place(second)
                key = spec.keys.row(page, start, "") + SOURCE.pack(source)
                self._sums[key + bytes((slot,))] += 1
                cells = {s: n for s in range(60) if (n := self._sums.get(key + bytes((s,)), 0))}
                record = SimpleNamespace(key=key, value=msgspec.msgpack.encode((9, cells)))
                records.setdefault(self.totals.partition_of(page), []).append(record)
        for partition, some in records.items():
            await self.totals.merge(partition, some, 1)

    async def top(self, window: Window, limit: int) -> tuple[list[tuple[bytes, int]], int]:
        """Ask."""
        found, total = await self.rankings.top(range(4), split(window, NOW), limit)
        return sorted(found, key=rank_of)[:limit], total

    def by_hand(self, window: Window, limit: int) -> tuple[list[tuple[bytes, int]], int]:
        """Count."""
        runs = split(window, NOW)
        seen = Counter(
            page.encode()
            for second, page, _ in self._views
            if any(run.begin <= second < run.end for run in runs)
        )
        return sorted(seen.items(), key=rank_of)[:limit], seen.total()


@pytest.fixture
def scene(make_totals: Callable[[], Totals], counters: Counters) -> Scene:
    return Scene(make_totals(), counters)


def some_views(dice: random.Random, count: int, back_s: int) -> Views:
    """Return random views of some hundred pages in the last seconds; many pages draw."""
    return [
        (NOW - int(dice.random() ** 3 * back_s), f"/{dice.randrange(300)}é", dice.randrange(3))
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_any_window_is_ranked_as_by_hand_while_views_go_on(
    scene: Scene, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_ROWS", 7)
    dice = random.Random(seed)
    sizes = [1, 59, 60, 300, 3600, 7200, 86_400, 10 * 86_400]
    for _ in range(25):
        await scene.view(some_views(dice, 60, dice.choice([100, 4000, 11 * 86_400])))
        window = Window(NOW - dice.choice([0, 0, 1, 60, 4000]), dice.choice(sizes))
        limit = dice.choice([1, 5, 1000])
        assert await scene.top(window, limit) == scene.by_hand(window, limit), window


async def test_views_that_are_merged_while_a_block_is_read_are_not_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_ROWS", 3)
    dice, window = random.Random(1), Window(NOW, 3600)
    await scene.view(some_views(dice, 200, 3000))
    asking = asyncio.create_task(scene.top(window, 5))
    while not asking.done():
        await asyncio.sleep(0)
        await scene.view(some_views(dice, 1, 3000))
    assert await scene.top(window, 1000) == scene.by_hand(window, 1000)


async def test_what_does_not_fit_into_memory_is_read_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.rankings, "CELLS_MAX", 50)
    dice, window = random.Random(1), Window(NOW, 5000)
    for _ in range(3):
        await scene.view(some_views(dice, 100, 5000))
        assert await scene.top(window, 50) == scene.by_hand(window, 50)


async def test_what_nobody_asks_for_is_forgotten(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice, window = random.Random(1), Window(NOW, 3600)
    await scene.view(some_views(dice, 100, 3000))
    await scene.top(window, 5)
    assert len(scene.rankings)
    monkeypatch.setattr(tables.rankings, "IDLE_S", -1)
    await scene.view(some_views(dice, 100, 3000))
    assert not len(scene.rankings)
    monkeypatch.undo()
    assert await scene.top(window, 50) == scene.by_hand(window, 50)


async def test_a_partition_that_moves_meanwhile_is_not_read_in_part(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_ROWS", 3)
    await scene.view(some_views(random.Random(1), 200, 3000))
    asking = asyncio.create_task(scene.top(Window(NOW, 3600), 5))
    for _ in range(10):
        await asyncio.sleep(0)
    scene.totals.forget()
    with pytest.raises(RecoveringError):
        await asking
