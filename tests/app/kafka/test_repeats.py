"""What aiokafka repeats is left out of one log, and of no other; so is what nobody can act on."""

from __future__ import annotations

import asyncio
import logging

import faust
import pytest
from mode.timers import Timer
from mode.utils.logging import flight_recorder

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


async def test_late_timers_and_long_rebalances_are_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = iter([0.0, 0.0, 1.0, 99.0, 99.0, 200.0])
    timer = Timer(1.0, name="late", clock=lambda: next(clock), sleep=asyncio.sleep)
    app = faust.App("worker")
    with caplog.at_level(logging.INFO):
        timer.tick()
        timer.on_before_yield()
        timer.tick()
        with flight_recorder(app.log, timeout=0.01) as recorder:
            recorder.info("tables.on_rebalance()")
            while len(caplog.records) < 7:
                await asyncio.sleep(0.01)
        app.log.info("generation id %s", 7)
    assert "Timer late" in caplog.text
    said = [record for record in caplog.records if Repeats().filter(record)]
    assert [record.getMessage().rpartition(": ")[2] for record in said] == ["generation id 7"]
