"""When partial counts are flushed."""

from __future__ import annotations

from agents.count_events import BEHIND_BATCH, BEHIND_FLUSH_S, BEHIND_PAUSE_S, FlushPace


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_small_fetches_are_flushed_at_every_tick() -> None:
    pace = FlushPace(Clock())
    pace.note(10)
    assert [pace.due() for _ in range(3)] == [True, True, True]


def test_a_backlog_is_flushed_rarely() -> None:
    clock = Clock()
    pace = FlushPace(clock)
    flushes = 0
    for _ in range(600):  # 60 s
        pace.note(BEHIND_BATCH)
        flushes += pace.due()
        clock.now += 0.1
    assert flushes == 60 / BEHIND_FLUSH_S


def test_the_end_of_a_backlog_is_flushed_at_once() -> None:
    clock = Clock()
    pace = FlushPace(clock)
    pace.note(BEHIND_BATCH)
    assert pace.due()
    pace.note(BEHIND_BATCH)
    assert not pace.due()
    pace.note(1)
    assert pace.due()


def test_a_backlog_that_ends_with_a_full_fetch_is_flushed_after_a_pause() -> None:
    clock = Clock()
    pace = FlushPace(clock)
    pace.note(BEHIND_BATCH)
    assert pace.due()
    pace.note(BEHIND_BATCH)
    clock.now += BEHIND_PAUSE_S
    assert pace.due()
