"""Totals of all time of keys with many days: answered in turns, and only by their owner."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from app.errors import RecoveringError
from web.query.messages import Answer, Query
from web.stats.settled import settled

QUERY = Query("POST", "/event_track")
ANSWER = Answer(200, b"7", {})


class Totals:
    """Takes some steps until a key is settled."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def partition_of(self, _key: str) -> int:
        return 3

    def settle(self, _counter: str, _key: str) -> bool:
        self.left -= 1
        return self.left < 0


class Owner:
    """Owns the partition for so many checks."""

    def __init__(self, checks: int = 100) -> None:
        self.left = checks

    def check_owner(self, partition: int, query: Query) -> None:
        assert (partition, query) == (3, QUERY)
        self.left -= 1
        if self.left < 0:
            raise RecoveringError("moved")


def ask(totals: Totals, owner: Owner) -> Answer | Awaitable[Answer]:
    def answer() -> Answer:
        assert totals.left < 0, "not before it is cheap"
        return ANSWER

    table: Any = totals
    queries: Any = owner
    return settled(queries, table, "events_by_url", "/a", QUERY, answer)


def test_what_is_cheap_is_answered_at_once() -> None:
    assert ask(Totals(0), Owner()) is ANSWER


async def test_what_takes_steps_is_answered_after_them() -> None:
    answer = ask(Totals(5), Owner())
    assert not isinstance(answer, Answer)
    assert await answer is ANSWER


async def test_a_key_that_moves_meanwhile_is_not_answered() -> None:
    answer = ask(Totals(5), Owner(checks=2))
    assert not isinstance(answer, Answer)
    with pytest.raises(RecoveringError):
        await answer
