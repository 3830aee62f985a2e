"""Saying once that a sink is away, and once that it is back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic, time

from app import metrics

away: dict[str, int] = {}  # sinks that this process cannot write to: since when, s since 1970

log = logging.getLogger(__name__)


class Outage:
    """State of one sink: event, summary or redis; a gauge shows it, the log says each change."""

    def __init__(self, sink: str, clock: Callable[[], float] = monotonic) -> None:
        self._sink, self._clock = sink, clock
        self._since: float | None = None
        self._counted = 0.0
        metrics.sink_away.labels(sink).set(0)
        metrics.sink_outages.labels(sink)
        metrics.sink_away_seconds.labels(sink)

    def goes_on(self, reason: object) -> None:
        """Note a failed attempt; the first one of an outage is logged."""
        if self._since is None:
            self._since = self._counted = self._clock()
            away[self._sink] = int(time())
            metrics.sink_away.labels(self._sink).set(1)
            metrics.sink_outages.labels(self._sink).inc()
            log.warning("%s: waiting, nothing is lost. %s", self._sink, reason)
        self._count()

    def ends(self) -> None:
        """Note a success; the first one after an outage is logged."""
        if self._since is not None:
            self._count()
            away.pop(self._sink, None)
            metrics.sink_away.labels(self._sink).set(0)
            log.warning("%s: back after %.1f s", self._sink, self._clock() - self._since)
            self._since = None

    def _count(self) -> None:
        now = self._clock()
        metrics.sink_away_seconds.labels(self._sink).inc(now - self._counted)
        self._counted = now
