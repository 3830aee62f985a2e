"""When partial counts are flushed."""

from __future__ import annotations

from app.counting.flush_pace import BACKLOG, BACKLOG_FLUSH_S, BACKLOG_PAUSE_S, FlushPace


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_backlog_every_tick_flushes() -> None:
    pace = FlushPace(Clock())
    pace.note(0, 0)
    assert [pace.due() for _ in range(3)] == [True, True, True]


def test_a_backlog_is_flushed_rarely() -> None:
    clock = Clock()
    pace = FlushPace(clock)
    flushes = 0
    for _ in range(601):  # 60 s
        pace.note(0, BACKLOG)
        if pace.due():
            flushes += 1
            pace.flushed()
        clock.now += 0.1
    assert flushes == 60 / BACKLOG_FLUSH_S


def test_the_end_of_a_backlog_is_flushed_at_once() -> None:
    pace = FlushPace(Clock())
    pace.note(0, BACKLOG)
    assert not pace.due()
    pace.note(0, 1)
    assert pace.due()


def test_a_small_batch_of_another_partition_does_not_end_a_backlog() -> None:
    pace = FlushPace(Clock())
    pace.note(0, BACKLOG)
    pace.note(1, 0)
    assert not pace.due()


def test_a_backlog_that_does_not_come_is_not_waited_for() -> None:
    clock = Clock()
    pace = FlushPace(clock)
    pace.note(0, BACKLOG)
    clock.now += BACKLOG_PAUSE_S
    assert pace.due()


def test_a_backlog_that_moved_away_is_waited_for_once() -> None:
    clock = Clock()
    pace = FlushPace(clock)
    pace.note(0, BACKLOG)
    flushes = 0
    for _ in range(100):  # 10 s
        clock.now += 0.1
        pace.note(1, 0)
        if pace.due():
            flushes += 1
            pace.flushed()
    assert flushes >= 80


def test_a_flush_that_took_long_is_no_pause() -> None:
    clock = Clock()
    pace = FlushPace(clock)
    pace.note(0, BACKLOG)
    clock.now += BACKLOG_PAUSE_S
    pace.flushed()
    assert not pace.due()
