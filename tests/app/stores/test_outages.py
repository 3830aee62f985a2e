"""A sink that several write to is away once, and back once all of them can write."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import REGISTRY

from app.stores.outages import Outage, away


def figures(sink: str) -> tuple[float, float, float]:
    """Return whether it is away, how often it was, and for how many seconds."""
    names = ("sink_away", "sink_outages_total", "sink_away_seconds_total")
    found = [REGISTRY.get_sample_value(f"event_counter_{n}", {"sink": sink}) for n in names]
    assert None not in found
    return found[0] or 0, found[1] or 0, found[2] or 0


def test_two_who_cannot_write_to_a_sink_tell_of_one_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, sink = [100.0], "shared"
    first, second = (Outage(sink, lambda: now[0]) for _ in range(2))
    first.goes_on("gone")
    now[0] = 110
    second.goes_on("gone")
    now[0] = 120
    first.ends()
    assert (sink in away, figures(sink)) == (True, (1, 1, 20))
    second.goes_on("still gone")
    now[0] = 125
    for one in (second, first):
        one.ends()
    assert (sink in away, figures(sink)) == (False, (0, 1, 25))
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == ["shared: waiting, nothing is lost. gone", "shared: back after 25.0 s"]
