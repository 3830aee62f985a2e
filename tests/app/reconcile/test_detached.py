"""Months that somebody detached: named, not touched, and forgotten once they are attached again."""

from __future__ import annotations

import random
from datetime import datetime

import pytest

from app.cli.forget_months import _remains
from app.reconcile.detached import DetachedMonth
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
