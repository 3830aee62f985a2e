"""The answers to report queries, from counts. Pure; shapes as in docs/reference/http.md."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from app.counting.calendar import UTC, Buckets, day_begin, local_text
from app.counting.counters import Counters
from app.counting.spec import DAY, FOREVER, HOUR, CounterSpec
from app.counting.stats_window import time_of
from app.errors import BadRequestError, OutsideRetentionError
from app.events.times import rfc3339
from tables.turns import InSteps, in_order
from web.query.messages import encode
from web.stats.pieces import CsvLines, add, elements, members

ALWAYS_SHOWN = ("CLICK", "VIEW")

HOURS = 24

Windows = dict[int, dict[str, int]]

_WINDOW = b'{"start":%b,"counts":{%b}}'
_COUNTS = b'{"counter":%b,"key":%b,"windows":[%b],"total":{%b}}'
_LOCAL_HOUR = b'{"datehour":%d,"start":%b,"eventCounts":[%b]}'
_LOCAL_REPORT = b'{"url":%b,"date":%b,"tz":%b,"dateHourEventCounts":[%b]}'
_HOURS = ",".join(f'{{"datehour":{hour},"eventCounts":[%b]}}' for hour in range(HOURS))
_REPORT = f'{{"url":%b,"date":"%b","dateHourEventCounts":[{_HOURS}]}}'.encode()


def track_json(url: str, windows: Windows) -> InSteps[bytes]:
    """Return {"url", "events": [{"type", "count"}]}, by type, CLICK and VIEW always there."""
    counts = dict.fromkeys(ALWAYS_SHOWN, 0)
    for labels in windows.values():
        yield from add(counts, labels)
    events = yield from _events(counts, counts)
    return b'{"url":%b,"events":[%b]}' % (encode(url), events)


def report_json(url: str, day: date, windows: Windows) -> InSteps[bytes]:
    """Return the 24 UTC hours of a day; each hour shows every type of that day.

    windows: {start of the hour, seconds since 1970: {type: count}}. Most hours have no counts:
    what they show is made once.
    """
    types = yield from _types(windows)
    begin = day_begin(day, UTC)
    hours = [(yield from _events(types, {}))] * HOURS
    for start, counts in windows.items():
        if 0 <= (hour := (start - begin) // HOUR) < HOURS:
            hours[hour] = yield from _events(types, counts)
    return _REPORT % (encode(url), day.isoformat().encode(), *hours)


def _types(windows: Windows) -> InSteps[list[str]]:
    """Return what each hour of a report shows, in order."""
    types = set(ALWAYS_SHOWN)
    for labels in windows.values():
        types.update(labels)
        yield
    return list((yield from in_order(types)))


def _events(types: Collection[str], counts: Mapping[str, int]) -> InSteps[bytes]:
    return elements(types, lambda name: {"type": name, "count": counts.get(name, 0)})


def counts_json(
    spec: CounterSpec, key: str, windows: Windows, zone: ZoneInfo = UTC
) -> InSteps[bytes]:
    """Return {"counter", "key", "windows": [{"start", "counts"}], "total"}.

    An all-time counter has no windows, only the total. zone: that starts are shown in.
    """
    total, listed = dict[str, int](), list[bytes]()
    for start in sorted(windows):
        yield from add(total, windows[start])
        if spec.window:
            counts = yield from members(windows[start], spec.measure.shown)
            listed.append(_WINDOW % (encode(local_text(start, zone)), counts))
        yield
    sums = yield from members(total, spec.measure.shown)
    return _COUNTS % (encode(spec.name), encode(key), b",".join(listed), sums)


def counts_csv(spec: CounterSpec, windows: Windows, zone: ZoneInfo = UTC) -> InSteps[bytes]:
    """Return the same as CSV: a line per window and label below start,label,count.

    An all-time counter has no start.
    """
    lines = CsvLines(("start", "label", "count"))
    for start in sorted(windows):
        counts, shown = windows[start], spec.measure.shown
        labels = yield from in_order(counts)
        text = local_text(start, zone) if spec.window else ""
        yield from lines.write((text, label, shown(counts[label])) for label in labels)
    return lines.body()


def local_report(url: str, day: date, zone: ZoneInfo, windows: Windows) -> InSteps[bytes]:
    """Return report_json() of the hours that a day has in a zone, 23 to 25, each with its start.

    windows: {start of the hour, seconds since 1970: {type: count}} of that day.
    """
    types = yield from _types(windows)
    hours = Buckets("1h", zone)
    start, end = Buckets("1d", zone).bounds(day)
    shown = list[bytes]()
    while start < end:
        counts = yield from _events(types, windows.get(start, {}))
        at, text = datetime.fromtimestamp(start, zone).hour, local_text(start, zone)
        shown.append(_LOCAL_HOUR % (at, encode(text), counts))
        start = hours.after(start)
    texts = encode(url), encode(day.isoformat()), encode(zone.key)
    return _LOCAL_REPORT % (*texts, b",".join(shown))


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
