"""Months that somebody detached: named, not touched, and forgotten once they are attached again."""

from __future__ import annotations

import random
from datetime import datetime

import asyncpg
import pytest

from app.cli.forget_months import _remains
from app.reconcile.detached import DetachedMonth, detached_months, how_to_attach
from app.stores.sql import load_queries
from tests.support.forgotten_months import Months, random_event


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("event_2025_12", "2025-12-01", "2026-01-01"),
        ("event_2024_02_2", "2024-02-01", "2024-03-01"),
    ],
)
def test_the_span_is_that_of_the_month(name: str, begin: str, end: str) -> None:
    month = DetachedMonth(name, datetime.fromisoformat(f"{begin}T00:00:00Z"))
    assert month.attach.endswith(f"{name} for values from ('{begin}Z') to ('{end}Z')")


async def test_a_month_that_was_detached_is_named_and_forgotten_later(months: Months) -> None:
    rng = random.Random(5)
    await months.store([random_event(rng) for _ in range(60)])
    await months.database.fetch("create table event_2025_03 (id int)")  # somebody's own
    before = await months.figures()
    await months.database.fetch("alter table event detach partition event_2025_01")
    found = await months.forget("2025-03")
    assert [month.name for month in found.detached] == ["event_2025_01"]
    (*_, said) = _remains(months.settings, found)
    assert said.startswith("event_2025_01: detached from event, and not touched.")
    assert said.endswith(found.detached[0].attach)
    await months.database.fetch(found.detached[0].attach)
    again = await months.forget("2025-03")
    assert (again.rows > 0, again.detached) == (True, ())
    assert await months.figures() == before


async def test_a_month_that_late_events_have_again_is_moved_there(months: Months) -> None:
    """Twice detached, too: the first is attached, and the second has no place any more."""
    rng, connection = random.Random(5), await asyncpg.connect(months.dsn)
    sent = [random_event(rng) for _ in range(60)]
    await months.store(sent)
    await connection.execute("alter table event detach partition event_2025_01")
    await connection.execute(
        "alter table event_2025_01 rename url to was; alter table event_2025_01 add url text"
        ' collate "C"; update event_2025_01 set url = was; alter table event_2025_01 drop was'
    )
    await months.store(sent)
    await connection.execute("alter table event detach partition event_2025_02")
    await months.store(sent)
    await connection.execute("alter table event detach partition event_2025_02_2")
    found = await detached_months(connection, load_queries())
    assert [(m.name, m.covered) for m in found] == [
        ("event_2025_01", True),
        ("event_2025_02", False),
        ("event_2025_02_2", True),
    ]
    await connection.execute(
        how_to_attach(found).removeprefix("To attach what was detached, type in psql: ")
    )
    assert await detached_months(connection, load_queries()) == []
    assert await connection.fetchval("select count(*) from event") == 180
    assert await months.figures(), "and nothing is missing"
    await connection.close()
