"""Views of full rows: what lies behind all that these carry."""

from __future__ import annotations

import random

import numpy as np
import pytest

from app.counting.groups import GroupKey
from app.counting.seconds import Views, by_second

DAY_S = 86_400
START_S = 20_000 * DAY_S


@pytest.mark.parametrize("full", [0, 1, 2, 3], ids="{} rows are full".format)
@pytest.mark.parametrize("later_s", [0, 24, 25, 26])
def test_a_view_is_put_elsewhere_where_its_row_carries_no_more_and_all_earlier(
    full: int, later_s: int
) -> None:
    dice = random.Random(full)
    rows: list[GroupKey] = [(f"/{n}", "VIEW", START_S) for n in range(3)]
    last = dict.fromkeys(rows[:full], START_S + 25)
    urls = [dice.choice(rows)[0] for _ in range(200)]
    seconds = [START_S + later_s + dice.randrange(50) for _ in urls]
    views = Views(urls, ["VIEW"] * 200, np.array(seconds))
    kept, later = views.parted([*rows, ("/0", "CLICK", START_S)], last, DAY_S)
    expected = [
        (url, second)
        for url, second in zip(urls, seconds, strict=True)
        if second > last.get((url, "VIEW", START_S), second)
    ]
    assert list(zip(later.urls, later.seconds.tolist(), strict=True)) == expected
    assert len(kept.urls) == len(kept.names) == len(kept.seconds) == 200 - len(expected)


def test_the_seconds_of_a_row_are_in_the_order_that_they_came_in() -> None:
    seconds = np.array([START_S + at for at in (9, 3, 9, 61, 3, 1)])
    found = [
        (key, start - START_S, list(cells.items()))
        for key, start, cells in by_second(["/a"] * 5 + ["/b"], seconds, 60, 100)
    ]
    assert found == [
        ("/a", 0, [(109, 2), (103, 2)]),
        ("/a", 60, [(101, 1)]),
        ("/b", 0, [(101, 1)]),
    ]
