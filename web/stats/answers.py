"""The JSON answers to report queries, from counts. Pure; shapes as in docs/reference/http.md."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from io import StringIO
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from app.counting.calendar import UTC, Buckets, day_begin, local_text
from app.counting.counters import Counters
from app.counting.measures import Value
from app.counting.spec import DAY, FOREVER, HOUR, CounterSpec
from app.counting.stats_window import time_of
from app.errors import BadRequestError, OutsideRetentionError
from app.events.times import rfc3339

ALWAYS_SHOWN = ("CLICK", "VIEW")

HOURS = 24

Windows = dict[int, dict[str, int]]

_encode = msgspec.json.Encoder().encode
_HOURS = ",".join(f'{{"datehour":{hour},"eventCounts":%b}}' for hour in range(HOURS))
_REPORT = f'{{"url":%b,"date":"%b","dateHourEventCounts":[{_HOURS}]}}'.encode()


def track_json(url: str, windows: Windows) -> bytes:
    """Return {"url", "events": [{"type", "count"}]}, by type, CLICK and VIEW always there."""
    counts = dict.fromkeys(ALWAYS_SHOWN, 0)
    for labels in windows.values():
        for label, count in labels.items():
            counts[label] = counts.get(label, 0) + count
    events = [{"type": label, "count": counts[label]} for label in sorted(counts)]
    return _encode({"url": url, "events": events})


def report_json(url: str, day: date, windows: Windows) -> bytes:
    """Return the 24 UTC hours of a day; each hour shows every type of that day.

    windows: {start of the hour, seconds since 1970: {type: count}}. Most hours have no counts:
    what they show is made once.
    """
    types = sorted({*ALWAYS_SHOWN, *(label for labels in windows.values() for label in labels)})
    begin = day_begin(day, UTC)
    hours = [_encode([{"type": name, "count": 0} for name in types])] * HOURS
    for start, counts in windows.items():
        if 0 <= (hour := (start - begin) // HOUR) < HOURS:
            shown = [{"type": name, "count": counts.get(name, 0)} for name in types]
            hours[hour] = _encode(shown)
    return _REPORT % (_encode(url), day.isoformat().encode(), *hours)


def counts_answer(
    spec: CounterSpec, key: str, windows: Windows, zone: ZoneInfo = UTC
) -> dict[str, Any]:
    """Return {"counter", "key", "windows": [{"start", "counts"}], "total"}.

    An all-time counter has no windows, only the total. zone: that starts are shown in.
    """
    total: Counter[str] = Counter()
    for labels in windows.values():
        total.update(labels)
    listed = [
        {"start": local_text(start, zone), "counts": _shown(spec, windows[start])}
        for start in (sorted(windows) if spec.window else [])
    ]
    return {"counter": spec.name, "key": key, "windows": listed, "total": _shown(spec, total)}


def _shown(spec: CounterSpec, labels: Mapping[str, int]) -> dict[str, Value]:
    return {label: spec.measure.shown(value) for label, value in sorted(labels.items())}


def counts_csv(spec: CounterSpec, windows: Windows, zone: ZoneInfo = UTC) -> bytes:
    """Return the same as CSV of RFC 4180: a line per window and label below start,label,count.

    An all-time counter has no start.
    """
    text = StringIO()
    lines = csv.writer(text)
    lines.writerow(("start", "label", "count"))
    for start in sorted(windows):
        shown = local_text(start, zone) if spec.window else ""
        lines.writerows((shown, *cell) for cell in _shown(spec, windows[start]).items())
    return text.getvalue().encode()


def local_report(url: str, day: date, zone: ZoneInfo, windows: Windows) -> dict[str, Any]:
    """Return report_json() of the hours that a day has in a zone, 23 to 25, each with its start.

    windows: {start of the hour, seconds since 1970: {type: count}} of that day.
    """
    types = sorted({*ALWAYS_SHOWN, *(label for labels in windows.values() for label in labels)})
    hours = Buckets("1h", zone)
    start, end = Buckets("1d", zone).bounds(day)
    shown = []
    while start < end:
        counts = windows.get(start, {})
        shown.append(
            {
                "datehour": datetime.fromtimestamp(start, zone).hour,
                "start": local_text(start, zone),
                "eventCounts": [{"type": name, "count": counts.get(name, 0)} for name in types],
            }
        )
        start = hours.after(start)
    return {"url": url, "date": day.isoformat(), "tz": zone.key, "dateHourEventCounts": shown}


def counters_answer(counters: Counters) -> list[dict[str, Any]]:
    """Return name, window and retention (s or null), key, label, description of each counter.

    Of declared ones also what they measure, and most_keys.
    """
    return [
        {
            "name": spec.name,
            "window": spec.window,
            "retention": spec.retention,
            "key": spec.key.name,
            "label": spec.label.name,
            "description": spec.description,
            **({"measure": spec.measure.name, **_limit(spec)} if spec.declared else {}),
        }
        for spec in counters.values()
    ]


def _limit(spec: CounterSpec) -> dict[str, int]:
    return {"most_keys": spec.most_keys} if spec.most_keys else {}


def range_of(
    spec: CounterSpec, begin: datetime | None, end: datetime | None, now: float
) -> tuple[int, int]:
    """Return [begin, end) of the windows to answer with, seconds since 1970.

    Raises OutsideRetentionError for a begin that is no longer kept, BadRequestError for times
    that an all-time counter does not have or that end before they begin.
    """
    if spec.window is None:
        if begin or end:
            raise BadRequestError(f"{spec.name} counts all time and has no from and to")
        return 0, FOREVER
    oldest = 0
    if spec.retention is not None:
        oldest = int(now) - spec.retention
        oldest += -oldest % spec.window  # the first window that lies inside as a whole
    first = int(begin.timestamp()) if begin else oldest
    first -= first % spec.window
    is_gone = begin and first + spec.window <= now - (spec.retention or now + 1)
    if is_gone or (end and end.timestamp() <= oldest and oldest):
        raise OutsideRetentionError(
            f"{spec.name} is kept for {spec.retention} s, since {rfc3339(oldest)}"
        )
    # A window that has begun may hold events up to a day ahead of the clock.
    # Up to the fraction of a second: the window that begins in that second lies before it.
    last = ceil(end.timestamp()) if end else int(now) + 2 * DAY
    if end and begin and end < begin:
        raise BadRequestError("to is before from")
    return first, last


def bucket_range(
    spec: CounterSpec, buckets: Buckets, args: Mapping[str, str], now: float
) -> tuple[int, int]:
    """Return [begin, end) of whole buckets, for what range_of() returns of from= and to=.

    Raises OutsideRetentionError where the first bucket is no longer kept as a whole, and
    BadRequestError.
    """
    if spec.window is None:
        raise BadRequestError(f"{spec.name} counts all time and has no windows; leave out by=")
    given = time_of(args, "from")
    begin, end = range_of(spec, given, time_of(args, "to"), now)
    first, last = buckets.start_of(begin), buckets.after(buckets.start_of(end - 1))
    if spec.retention is not None and first < begin:
        oldest, _ = range_of(spec, None, None, now)
        if first < oldest and given:
            since = local_text(buckets.after(first), buckets.zone)
            raise OutsideRetentionError(
                f"{spec.name} is kept for {spec.retention} s; the first whole bucket of "
                f"by={buckets.unit} begins at {since}"
            )
        first = buckets.after(first) if first < oldest else first
    buckets.check(spec.window, first, last)
    return max(first, 0), last
