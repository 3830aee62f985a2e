"""Alerts: which windows of a counter reached the threshold of a rule. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from app.counting.spec import DAY
from app.events.times import rfc3339

# An alert says that something happens, not that it happened: a log of last year that is imported
# raises none. A worker that was away for a night still says what it finds then.
RECENT_S = DAY
NEVER = 1 << 62


@dataclass(frozen=True)
class Rule:
    """When to raise an alert.

    counter: its name. label: the one that is looked at; empty for a counter that has none.
    threshold: events in one window. window: seconds, as the counter's. key: only this one;
    None: each.
    """

    name: str
    counter: str
    label: str
    threshold: int
    window: int
    key: str | None = None


class Alert(msgspec.Struct, frozen=True):
    """An alert as the topic holds it; times are RFC 3339 in UTC, window_s is seconds."""

    rule: str
    counter: str
    label: str
    key: str
    window_start: str
    window_s: int
    threshold: int
    count: int
    raised_at: str


@dataclass(frozen=True)
class Due:
    """A window that reached its threshold; start: seconds since 1970."""

    rule: Rule
    key: str
    start: int
    count: int

    @property
    def place(self) -> bytes:
        """What there is one alert of, as the key of its record; the oldest window sorts first."""
        return place_before(self.start) + f"{self.rule.name}/{self.key}".encode()

    def alert(self, now: float) -> Alert:
        """Return what is said about it; now: seconds since 1970."""
        rule = self.rule
        return Alert(
            rule.name,
            rule.counter,
            rule.label,
            self.key,
            rfc3339(self.start),
            rule.window,
            rule.threshold,
            self.count,
            f"{datetime.fromtimestamp(now, UTC).isoformat(timespec='milliseconds')[:-6]}Z",
        )


def place_before(start: int) -> bytes:
    """Return what the places of all alerts of a window start begin with."""
    return f"{rfc3339(start)}/".encode()


def oldest_start(now: float, longest_window: int) -> int:
    """Return the window start before which no alert is raised any more."""
    return max(0, int(now) - RECENT_S - longest_window)


def due_windows(
    rules: Sequence[Rule], key: str, windows: Mapping[int, int], now: float
) -> Iterable[Due]:
    """Yield the recent windows of a row that reached a threshold.

    rules: those of the row's counter and label. windows: {start: count}.
    """
    for rule in rules:
        if rule.key is None or rule.key == key:
            oldest = now - RECENT_S - rule.window
            for start, count in windows.items():
                if count >= rule.threshold and start > oldest:
                    yield Due(rule, key, start, count)


def silent_until(rules: Sequence[Rule], key: str, windows: Mapping[int, int]) -> int:
    """Return the sum of all windows of a row below which no other alert can become due.

    What is due by now is raised, and counts only grow: so the fullest of the other windows must
    grow to its threshold first.
    """
    total, nearest = sum(windows.values()), NEVER
    for rule in rules:
        if rule.key is None or rule.key == key:
            below = [count for count in windows.values() if count < rule.threshold]
            nearest = min(nearest, rule.threshold - max(below, default=0))
    return total + nearest
