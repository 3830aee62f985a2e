"""Names of 32 KB: what is in memory of them is bounded in bytes, and forgotten without loss."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import time
from types import SimpleNamespace
from typing import Any

import pytest

import app.counting.long_records
from agents.count_events import Counting, Room
from app.counting.flush_pace import FlushPace
from tables.judged import JudgedTable
from tables.judges import Judges
from tables.partials import Partials
from tables.sessions import Sessions
from tables.statistics import Statistics
from tables.unique_deltas import UniqueDeltas
from tests.support.batches import batch_of

GATE, LIMIT = 1, 10
NOW_S = int(time())
LONG_BYTES = 1_000_000
USER_CHARS, A_BATCH = 30_000, 10


class Tables:
    """The tables that a batch of events goes through, and the agent's work on it."""

    def __init__(self, make_partials: Callable[[], Partials]) -> None:
        self.partials = make_partials()
        worker: Any = self.partials.app
        self.judged = JudgedTable.create(
            worker, "judged", 4, "", bot_limit=LIMIT, committed=lambda _: 0
        )
        self.sessions = Sessions.create(worker, "sessions", 4, "", owned=lambda: [0])
        sources: Any = SimpleNamespace(started_at=lambda _: 0)
        users = UniqueDeltas(self.partials, "uniques", 4)
        statistics = Statistics(self.judged, self.sessions, users, sources)
        self.partials.carry(statistics)
        judges = Judges(statistics)
        consumer: Any = SimpleNamespace(gate=GATE)
        self._count = Counting(SimpleNamespace(consumer=consumer), self.partials, judges, None)
        self._room = Room(self.partials, judges, FlushPace())
        self._first = 0

    async def take(self, users: list[str]) -> None:
        """Count a page view of each user, all of one moment."""
        values = [_view(user) for user in users]
        batch = batch_of(values, first=self._first, gate=GATE, timestamp_ms=NOW_S * 1000)
        self._first += len(values)
        assert await self._count.whole(batch)
        self.partials.absorbed(0, batch.after, lambda: None)
        await self._room.make(batch)

    def held(self) -> int:
        """Return the characters of all users in memory, once for each place that has one."""
        memory = self.judged.memory[0]
        views = [user for second in memory.views.values() for user in second.first]
        opened = [user for rows in self.sessions.opened[0].values() for user in rows]
        rows = [*self.partials.load(0, ())]
        return sum(map(len, [*views, *opened, *rows]))

    def counted(self) -> int:
        """Return the page views that count."""
        row = self.partials.counters["events_by_type"].keys.row("", 0, "VIEW")
        return sum(self.partials.load(0, [row])[row].cells.values())


def _view(user: str) -> bytes:
    seen = {"timestamp": NOW_S - 60, "user_id": user, "session_id": user[:9]}
    return json.dumps({"event_type": "VIEW", "page_url": "/a", **seen}).encode()


def _users(begin: int) -> list[str]:
    return [f"{n:08}{'x' * USER_CHARS}" for n in range(begin, begin + A_BATCH)]


async def test_long_names_do_not_fill_the_memory(
    make_partials: Callable[[], Partials], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.counting.long_records, "LONG_MAX_BYTES", LONG_BYTES)
    tables, most = Tables(make_partials), 0
    for n in range(30):
        await tables.take(_users(n * A_BATCH))
        most = max(most, tables.held())
    assert most < 5 * (LONG_BYTES + A_BATCH * USER_CHARS)
    assert tables.counted() == 30 * A_BATCH


async def test_what_is_forgotten_is_read_again(
    make_partials: Callable[[], Partials], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.counting.long_records, "LONG_MAX_BYTES", 0)
    tables, (user, *_) = Tables(make_partials), _users(0)
    for _ in range(LIMIT + 3):
        await tables.take([user])
        assert tables.held() == 0
    assert tables.counted() == LIMIT


async def test_ordinary_records_stay_in_memory(
    make_partials: Callable[[], Partials], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.counting.long_records, "LONG_MAX_BYTES", 0)
    tables = Tables(make_partials)
    await tables.take(["u"] * 3)
    assert tables.held() > 0
