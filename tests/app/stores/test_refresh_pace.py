"""When the next refresh is due."""

from __future__ import annotations

from datetime import datetime

import pytest

from app.stores.refresh import rest_s, until_hour_ends_s


@pytest.mark.parametrize(
    ("at", "wait_s"),
    [
        ("12:59:55", 6),  # with a second for the last events of the hour
        ("12:00:00", 1),
        ("12:00:01", 3600),
        ("12:58:00", 121),
    ],
)
def test_the_summary_is_refreshed_when_an_hour_ends(at: str, wait_s: float) -> None:
    now = datetime.fromisoformat(f"2026-11-23T{at}+00:00").timestamp()
    assert until_hour_ends_s(now) == pytest.approx(wait_s)


@pytest.mark.parametrize(
    ("took_s", "wait_s"), [(0, 0.5), (0.1, 0.5), (0.5, 2), (10, 40), (1000, 60)]
)
def test_a_refresh_that_took_long_is_followed_by_a_longer_rest(
    took_s: float, wait_s: float
) -> None:
    assert rest_s(0.5, took_s) == wait_s
