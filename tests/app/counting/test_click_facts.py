"""Clicks that are forgotten are no gap in the count of those that stay."""

from __future__ import annotations

import random

import pytest

from app.counting.click_facts import ClickFacts
from app.counting.rules import Clicks


@pytest.mark.parametrize("seed", range(200))
def test_clicks_that_stay_have_the_numbers_they_had(seed: int) -> None:
    rng = random.Random(seed)
    log = {offset: n for n, offset in enumerate(sorted(rng.sample(range(300), 60)), 1)}
    left, facts = dict(log), ClickFacts((), ())
    ends = sorted(rng.sample(range(301), rng.randrange(1, 4)))
    for end in ends:  # of calls, each of which knows more of the log
        gone = {offset for offset in left if offset < end and rng.random() < 0.5}
        facts = ClickFacts(facts.positions, facts.counts)
        for offset in (offset for offset in left if offset < end):
            assert facts.number(offset, gone=offset in gone) == log[offset]
        facts.end()
        assert len(facts.positions) <= len(left) - len(gone) + 1
        left = {offset: number for offset, number in left.items() if offset not in gone}
    clicks, begin = Clicks(list(facts.positions), list(facts.counts)), 0
    while begin < 300:  # as batches bring them
        end = begin + rng.randrange(1, 60)
        some = [offset for offset in left if begin <= offset < end]
        if some:
            assert clicks.number(some, end) == [log[offset] for offset in some]
        if rng.random() < 0.3:
            clicks.settle(end)
        begin = end


def test_one_that_clicked_only_in_what_is_gone_begins_where_it_was() -> None:
    facts = ClickFacts((), ())
    assert [facts.number(offset, gone=True) for offset in (3, 5)] == [1, 2]
    assert (facts.positions, facts.counts) == ([6], [2])
    assert Clicks(facts.positions, facts.counts).number([9], 20) == [3]
