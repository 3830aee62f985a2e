"""What the log says about users and ads, and what a count worker answers, in the same form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tests.support.ledger import HOUR, MINUTE, Truth

WINDOWS = (MINUTE, 7 * MINUTE, HOUR, 5 * HOUR)  # seconds
AT_MOST = 12  # minutes that windows end in
Answer = Callable[[str], Awaitable[dict[str, Any]]]


def windows_of(truth: Truth) -> list[tuple[int, int]]:
    """Return (last second, size) of windows that consist of whole minutes, over all that is recent.

    A window of whole minutes has the same answer for two days, however late it is asked for.
    """
    minutes = sorted({minute for minute, _ in truth.active})
    ends = [*minutes[:: max(1, len(minutes) // AT_MOST)], *minutes[-1:]]
    return [(minute + MINUTE - 1, size) for minute in ends for size in WINDOWS]


def expected_users(truth: Truth) -> dict[Any, int]:
    """Return how many users each window and each ad of a month has, and its impressions."""
    found: dict[Any, int] = {}
    for at, size in windows_of(truth):
        found[at, size] = len({user for m, user in truth.active if at - size < m <= at})
    for month in {month for month, _ in truth.impressions}:
        found[month, "", "visitors"] = len({u for m, _, u in truth.visitors if m == month})
        found[month, "", "impressions"] = sum(
            n for (m, _), n in truth.impressions.items() if m == month
        )
    visitors = _visitors(truth)
    for (month, ad), count in truth.impressions.items():
        found[month, ad, "impressions"], found[month, ad, "visitors"] = count, visitors[month, ad]
    return found


async def users_of(answer: Answer, truth: Truth) -> dict[Any, int]:
    """Return the same as count workers answer it."""
    found: dict[Any, int] = {}
    for at, size in windows_of(truth):
        moment = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        shown = await answer(f"/stats/active_users?window={size}&at={moment}")
        assert shown["error"] == 0
        found[at, size] = shown["active_users"]
    months = {month for month, _ in truth.impressions}
    for month, ad in [*truth.impressions, *((month, "") for month in months)]:
        path = f"/stats/ads/{quote(ad, safe='')}" if ad else "/stats/ads"
        shown = await answer(f"{path}?month={month}")
        for figure in ("impressions", "visitors"):
            found[month, ad, figure] = shown[figure]
    return found


def month_differences(found: Mapping[tuple[str, str], tuple[int, int]], truth: Truth) -> list[str]:
    """Return in what rows of ad_month differ: (month, ad): (impressions, visitors)."""
    visitors = _visitors(truth)
    expected = {place: (count, visitors[place]) for place, count in truth.impressions.items()}
    if found == expected:
        return []
    wrong = {place: (found.get(place), row) for place, row in expected.items()}
    return [
        f"ad_month: {place} {is_} not {row}" for place, (is_, row) in wrong.items() if is_ != row
    ]


def _visitors(truth: Truth) -> Counter[tuple[str, str]]:
    return Counter((month, ad) for month, ad, _ in truth.visitors)
