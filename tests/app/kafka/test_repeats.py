"""What aiokafka repeats is left out of one log, and of no other."""

from __future__ import annotations

import logging

from app.kafka.repeats import REPEAT_S, Repeats


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
