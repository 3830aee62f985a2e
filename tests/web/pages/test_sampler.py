"""When the sampler ticks."""

from __future__ import annotations

import pytest

from web.pages.sampler import next_due


@pytest.mark.parametrize(
    ("due", "now", "then"),
    [
        (100.0, 100.0, 101.0),
        (100.0, 99.999, 101.0),  # woken early: the same second is not ticked again
        (100.0, 100.7, 101.0),
        (100.0, 105.2, 106.0),  # what was missed is not made up for
    ],
)
def test_each_second_is_ticked_at_most_once(due: float, now: float, then: float) -> None:
    assert next_due(due, now) == then
