"""What aiokafka repeats is left out of one log, and of no other; so is what nobody can act on."""

from __future__ import annotations

import logging

import mode.timers
from mode.utils.logging import flight_recorder

from app.kafka.repeats import REBALANCES, REPEAT_S, TIMERS, Repeats


class Kept(logging.Handler):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        self.said.append(record)


def record(name: str, text: str, created: float) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.ERROR, __file__, 1, text, (), None)
    made.created = created
    return made


def test_a_message_of_aiokafka_passes_once_in_a_while() -> None:
    repeats, now = Repeats(), 1_790_000_000.0
    assert repeats.filter(record("aiokafka.conn", "away", now))
    assert not repeats.filter(record("aiokafka.conn", "away", now + 1))
    assert repeats.filter(record("aiokafka.conn", "back", now + 1))
    assert repeats.filter(record("aiokafka.conn", "away", now + REPEAT_S))


def test_what_others_say_passes_always() -> None:
    repeats, now = Repeats(), 1_790_000_000.0
    assert all(repeats.filter(record("app.kafka.link", "away", now)) for _ in range(3))


def test_another_log_misses_nothing() -> None:
    first, now = Repeats(), 1_790_000_000.0
    assert first.filter(record("aiokafka", "away", now))
    assert Repeats().filter(record("aiokafka", "away", now))


async def test_late_timers_and_long_rebalances_are_no_news() -> None:
    faust = logging.Logger(REBALANCES)  # noqa: LOG001 - nobody else's levels and handlers
    faust.addHandler(kept := Kept())
    with flight_recorder(faust, timeout=60) as recorder:
        recorder.info("tables.on_rebalance()")
        recorder.blush()  # what it says when that takes too long
    assert len(kept.said) > 5
    faust.info("generation id %s", 7)
    assert mode.timers.logger.name == TIMERS
    late = record(TIMERS, "Timer commit woke up too late", 1_790_000_000.0)
    passed = [one.getMessage() for one in (*kept.said, late) if Repeats().filter(one)]
    assert passed == ["generation id 7"]
