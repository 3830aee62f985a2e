"""Saying once that a sink is away, and once that it is back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, time
from weakref import WeakSet

from app import metrics

away: dict[str, int] = {}  # sinks that this process cannot write to: since when, s since 1970

log = logging.getLogger(__name__)


@dataclass
class _OutageOfSink:
    """failing: who could not write last time; since, counted: of the outage that goes on."""

    failing: WeakSet[Outage] = field(default_factory=WeakSet)
    since: float = 0.0
    counted: float = 0.0


_sinks: dict[str, _OutageOfSink] = {}


class Outage:
    """Of one sink, as one of those sees it who write to it: it is back once all of them can.

    A gauge shows it, and the log says each change.
    """

    def __init__(self, sink: str, clock: Callable[[], float] = monotonic) -> None:
        """sink: event, summary, ads, redis or webhook."""
        self._name, self._clock = sink, clock
        self._sink = _sinks.setdefault(sink, _OutageOfSink())
        metrics.sink_outages.labels(sink)
        metrics.sink_away_seconds.labels(sink)
        metrics.sink_away.labels(sink).set(bool(self._sink.failing))

    def goes_on(self, reason: object) -> None:
        """Note a failed attempt; the first one of an outage is logged."""
        if not self._sink.failing:
            self._sink.since = self._sink.counted = self._clock()
            away[self._name] = int(time())
            metrics.sink_away.labels(self._name).set(1)
            metrics.sink_outages.labels(self._name).inc()
            log.warning("%s: waiting, nothing is lost. %s", self._name, reason)
        self._sink.failing.add(self)
        self._count()

    def ends(self) -> None:
        """Note a success; the last one who waits for it is logged."""
        self._end("back")

    def leaves(self) -> None:
        """Note that there is nothing to write from here any more, so nobody tries."""
        self._end("nothing is left to write")

    def _end(self, how: str) -> None:
        if self not in self._sink.failing:
            return
        self._count()
        self._sink.failing.discard(self)
        if self._sink.failing:
            return
        away.pop(self._name, None)
        metrics.sink_away.labels(self._name).set(0)
        log.warning("%s: %s after %.1f s", self._name, how, self._clock() - self._sink.since)

    def _count(self) -> None:
        now = self._clock()
        metrics.sink_away_seconds.labels(self._name).inc(now - self._sink.counted)
        self._sink.counted = now
