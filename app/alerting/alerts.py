"""Alerts: which windows of a counter reached the threshold of a rule. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType

from app.counting.measures import COUNT, Measure, Value
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
    threshold: of one window, as the counter keeps it: events, different values, or millionths of a
    sum. window: seconds, as the counter's. key: only this one; None: each. measure: the counter's.
    """

    name: str
    counter: str
    label: str
    threshold: int
    window: int
    key: str | None = None
    measure: Measure = COUNT


class Alert(msgspec.Struct, frozen=True):
    """An alert as the topic holds it; times are RFC 3339 in UTC, window_s is seconds.

    error: relative, of distinct values alone.
    """

    rule: str
    counter: str
    label: str
    key: str
    window_start: str
    window_s: int
    threshold: Value
    count: Value
    raised_at: str
    error: float | UnsetType = UNSET


encode_alert = msgspec.json.Encoder(decimal_format="number").encode


class _AnyAlert(msgspec.Struct):
    """What every alert has, of whatever version."""

    rule: str
    key: str


_decode_any = msgspec.json.Decoder(_AnyAlert).decode


def is_alert(value: bytes | None) -> bool:
    """Return whether the value of a record is an alert: others can write to the topic, too."""
    try:
        _decode_any(value or b"")
    except msgspec.MsgspecError:
        return False
    return True


@dataclass(frozen=True)
class Due:
    """A window that reached its threshold.

    start: seconds since 1970. count: as the counter keeps it. error: relative, of an estimate.
    """

    rule: Rule
    key: str
    start: int
    count: int
    error: float | UnsetType = UNSET

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
            rule.measure.shown(rule.threshold),
            rule.measure.shown(self.count),
            f"{datetime.fromtimestamp(now, UTC).isoformat(timespec='milliseconds')[:-6]}Z",
            self.error,
        )


def place_before(start: int) -> bytes:
    """Return what the places of all alerts of a window start begin with."""
    return f"{rfc3339(start)}/".encode()


def oldest_start(now: float, longest_window: int) -> int:
    """Return the window start before which no alert is raised any more."""
    return max(0, int(now) - RECENT_S - longest_window)


def due_windows(
    rules: Sequence[Rule],
    key: str,
    windows: Mapping[int, int],
    now: float,
    error: float | UnsetType = UNSET,
) -> Iterable[Due]:
    """Yield the recent windows of a row that reached a threshold.

    rules: those of the row's counter and label. windows: {start: count}. error: of the counts.
    """
    for rule in rules:
        if rule.key is None or rule.key == key:
            oldest = now - RECENT_S - rule.window
            for start, count in windows.items():
                if count >= rule.threshold and start > oldest:
                    yield Due(rule, key, start, count, error)


def silent_until(rules: Sequence[Rule], key: str, windows: Mapping[int, int], total: int) -> int:
    """Return the sum of all cells of a row below which no other alert can become due.

    total: that sum now. What is due by now is raised, and cells only grow, those of a sum by what
    is added and by what is taken away: so the fullest of the other windows, or one that is not
    there yet, must grow to its threshold first.
    """
    nearest = NEVER
    for rule in rules:
        if rule.key is None or rule.key == key:
            below = [count for count in windows.values() if count < rule.threshold]
            nearest = min(nearest, rule.threshold - max([0, *below]))
    return total + nearest
