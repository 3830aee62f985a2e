"""Sums per key over any range: equal to a count by hand, whatever is merged in between."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from time import time
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import tables.key_parts
import tables.key_scans
import tables.key_sums
import tables.turns
from app.counting.counters import Counters
from app.counting.row_keys import SOURCE
from app.counting.spec import DAY, FOREVER, HOUR
from app.errors import RecoveringError
from tables.key_scans import KeyRuns
from tables.key_sums import KeySums
from tables.totals import Totals

# Rows kept for good and rows that expire, with labels and without, of a day and of 24 days.
NAMES = (
    "events_by_url_hourly",
    "page_views_by_page_hourly",
    "page_views_by_page_secondly",
    "ad_events_by_ad_daily",
    "events_by_type",
)
Counted = tuple[int, str, str, int]  # second, key, label, source partition


class Scene:
    """Totals of one counter that are told of events, and a count by hand."""

    def __init__(self, totals: Totals, counters: Counters, name: str) -> None:
        self.totals, self.spec = totals, counters[name]
        self.sums = KeySums(totals)
        self.events: list[Counted] = []
        self._cells: dict[bytes, dict[int, int]] = {}

    async def count(self, events: list[Counted]) -> None:
        """Merge events."""
        self.events += events
        keys = {}
        for second, key, label, source in events:
            start, slot = self.spec.place(second)
            row = self.spec.keys.row(key, start, label) + SOURCE.pack(source)
            cells = self._cells.setdefault(row, {})
            cells[slot] = cells.get(slot, 0) + 1
            keys[row] = self.totals.partition_of(key)
        for partition in set(keys.values()):
            records: list[Any] = [
                SimpleNamespace(key=row, value=msgspec.msgpack.encode((9, self._cells[row])))
                for row, at in keys.items()
                if at == partition
            ]
            await self.totals.merge(partition, records, 1)

    @property
    def oldest(self) -> int:
        """The first second that may be asked for."""
        kept = self.spec.retention
        return 0 if kept is None else (int(time()) - kept) // HOUR * HOUR

    async def top(
        self, begin: int, end: int, label: str | None, limit: int
    ) -> list[tuple[bytes, int]]:
        """Ask."""
        found = await self.sums.top(self.spec, range(4), (begin, end), label, limit)
        return sorted(found, key=lambda one: (-one[1], one[0]))[:limit]

    def by_hand(
        self, begin: int, end: int, label: str | None, limit: int
    ) -> list[tuple[bytes, int]]:
        """Count."""
        window = self.spec.window or FOREVER
        seen = Counter(
            key.encode()
            for second, key, of, _ in self.events
            if begin <= second - second % window < end and label in (None, of)
        )
        return sorted(seen.items(), key=lambda one: (-one[1], one[0]))[:limit]

    async def check(self, dice: random.Random, now: int) -> None:
        """Compare some ranges."""
        window = self.spec.window or FOREVER
        for _ in range(4):
            ago = [0, 100, HOUR, 3 * DAY, 40 * DAY]
            begin, end = sorted(max(now - dice.choice(ago), self.oldest) for _ in "be")
            begin, end = begin - begin % window, end - end % window + window
            asked = begin, dice.choice([end, now + 2 * DAY]), dice.choice([None, "a", "-"]), 7
            if self.spec.window is None:
                asked = 0, FOREVER, *asked[2:]
            assert await self.top(*asked) == self.by_hand(*asked), asked
        whole = self.oldest, FOREVER, None, 1000
        assert await self.top(*whole) == self.by_hand(*whole)


def some_events(
    dice: random.Random, now: int, count: int, back_s: int, labels: str
) -> list[Counted]:
    """Return random events of some hundred keys; many draw."""
    return [
        (
            now - int(dice.random() ** 3 * back_s),
            f"/{dice.randrange(200) * 'x'}é" if dice.random() < 0.3 else f"/{dice.randrange(99)}",
            dice.choice(labels) if labels else "",
            dice.randrange(3),
        )
        for _ in range(count)
    ]


@pytest.fixture
def make_scene(make_totals: Callable[[], Totals], counters: Counters) -> Callable[[str], Scene]:
    return lambda name: Scene(make_totals(), counters, name)


@pytest.mark.parametrize("name", NAMES)
async def test_any_range_is_ranked_as_by_hand_while_events_go_on(
    make_scene: Callable[[str], Scene], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_ROWS", 7)
    monkeypatch.setattr(tables.key_scans, "PROBE_ROWS", 20)
    monkeypatch.setattr(tables.key_parts, "LATE_MAX", 30)
    scene, dice, now = make_scene(name), random.Random(1), int(time())
    labels = "abc" if scene.spec.label.name else ""
    for _ in range(12):
        back = dice.choice([100, DAY, 45 * DAY])
        await scene.count(some_events(dice, now, 60, back, labels))
        await scene.check(dice, now)


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_merged_while_rows_are_read_is_not_lost(
    make_scene: Callable[[str], Scene], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_ROWS", 3)
    monkeypatch.setattr(tables.turns, "TURN_S", 0)
    scene, dice, now = make_scene(name), random.Random(1), int(time())
    await scene.count(some_events(dice, now, 300, 30 * DAY, "a"))
    whole = scene.oldest, FOREVER, None, 1000
    asking = asyncio.create_task(scene.top(*whole))
    while not asking.done():
        await asyncio.sleep(0)
        await scene.count(some_events(dice, now, 1, 30 * DAY, "a"))
    assert await scene.top(*whole) == scene.by_hand(*whole)


async def test_a_day_that_is_over_joins_the_days_before(
    make_scene: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, dice, now = make_scene("events_by_url_hourly"), random.Random(1), int(time())
    read: list[tuple[int, int]] = []

    def rows_between(db: Any, spec: Any, begin: int, end: int) -> Any:
        read.append((begin, end))
        return tables.key_scans.rows_between(db, spec, begin, end)

    monkeypatch.setattr(tables.key_sums, "rows_between", rows_between)
    await scene.count(some_events(dice, now, 300, 9 * DAY, "a"))
    await scene.check(dice, now)
    await scene.count(some_events(dice, now, 50, 9 * DAY, "a"))
    read.clear()
    monkeypatch.setattr(tables.key_sums, "time", lambda: now + DAY)
    assert await scene.top(0, FOREVER, None, 99) == scene.by_hand(0, FOREVER, None, 99)
    assert all(end - begin == DAY for begin, end in read)  # the new day alone
    monkeypatch.setattr(tables.key_sums, "time", lambda: now + 40 * DAY)
    assert await scene.top(0, FOREVER, None, 99) == scene.by_hand(0, FOREVER, None, 99)


async def test_a_partition_that_moves_meanwhile_is_not_read_in_part(
    make_scene: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_ROWS", 3)
    scene = make_scene("events_by_url_hourly")
    await scene.count(some_events(random.Random(1), int(time()), 200, DAY, "a"))
    asking = asyncio.create_task(scene.top(0, FOREVER, None, 5))
    while not scene.sums.reading:
        await asyncio.sleep(0)
    scene.totals.forget()
    with pytest.raises(RecoveringError):
        await asking


async def test_what_nobody_asks_for_is_forgotten_and_read_again(
    make_scene: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, dice, now = make_scene("events_by_url_hourly"), random.Random(1), int(time())
    for setting, value in {"TAILS_MAX": 1, "IDLE_S": -1}.items():
        monkeypatch.setattr(tables.key_sums, setting, value)
        await scene.count(some_events(dice, now, 100, 9 * DAY, "ab"))
        await scene.check(dice, now)
    await scene.count(some_events(dice, now, 1, 9 * DAY, "ab"))
    assert not len(scene.sums)


@pytest.mark.parametrize("name", NAMES)
async def test_keys_come_in_order_by_prefix_and_page(
    make_scene: Callable[[str], Scene], name: str
) -> None:
    scene, dice, now = make_scene(name), random.Random(1), int(time())
    events = some_events(dice, now, 400, 3 * DAY, "ab")
    events += [(now, key, "a", 0) for key in ("", "a", "ab", "abc", "b", "é", "\x00", "\U0001f600")]
    await scene.count(events)
    for prefix in ("", "/", "/1", "/x", "a", "é", "/999", "\U0001f600"):
        for after in (None, "", "/", "/5", "/xxxx", "/xxxxé", "a", "ab", "é", "zz", "\U0001f601"):
            found: list[str] = []
            for partition in range(4):
                db = scene.totals.db(partition)
                then = None if after is None else after.encode()
                runs = KeyRuns(db, scene.spec, prefix.encode(), then)
                own = [key.decode() for key in runs.keys(0) if key is not None]
                assert own == sorted(set(own))
                found += own
            wanted = {key for _, key, _, _ in events if key.startswith(prefix)}
            if after is not None:
                wanted = {key for key in wanted if key > after}
            assert sorted(found) == sorted(wanted), (prefix, after)
