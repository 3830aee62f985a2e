"""The quick way of a batch of Segment's makes of an event what the other way makes of it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from app.errors import RejectedError
from app.events.event import Event, to_ms
from web.ingest import segment, segment_quick
from web.ingest.collect import record_of
from web.ingest.dialects import Dialect

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOW_MS = to_ms(NOW)
ODD = [
    None,
    "",
    0,
    7,
    1.5,
    True,
    [],
    ["a"],
    {},
    {"a": 1},
    "x" * 70,
    "ä" * 63,
    "x" * 600,
    "x" * 3000,
]
TIMES = [
    NOW.isoformat(),
    "2026-11-28T12:00:00.123Z",
    "2026-11-28T14:00:00+02:00",
    "2026-11-28T12:00:00",
    "2026-11-28 12:00:00Z",
    1_790_000_000,
    1_790_000_000_123,
    "1969-12-31T23:59:59Z",
    "2099-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "nonsense",
]
FIELDS: dict[str, list[Any]] = {
    "type": ["track"] * 20 + ["page", "identify", "other"],
    "event": ["CLICK"] * 20,
    "userId": ["u1"] * 5,
    "anonymousId": ["anon"] * 5,
    "messageId": ["m-1"] * 5,
    "timestamp": TIMES * 3,
    "originalTimestamp": TIMES,
    "sentAt": [None] * 20 + TIMES,
    "properties": [{"url": "/a", "plan": "pro"}] * 5,
    "context": [{"library": {"name": "analytics-python"}}] * 5,
    "integrations": [{}],
    "name": ["Home"],
}
PROPERTIES: dict[str, list[Any]] = {"url": ["/a"], "deep": [[[[[]]]]], "nul": ["a\0b"]}
CONTEXT: dict[str, list[Any]] = {
    "ip": ["1.2.3.4"],
    "userAgent": ["Mine/1"],
    "sessionId": ["s"],
    "page": [{"url": "/c", "referrer": "/r"}, {"url": None}, {"referrer": 5}],
}


def some(rng: random.Random, fields: dict[str, list[Any]]) -> dict[str, Any]:
    """Return an object with some of the fields, now and then with odd values."""
    names = [name for name in fields if rng.random() < 0.7]
    return {n: rng.choice(ODD) if rng.random() < 0.06 else rng.choice(fields[n]) for n in names}


def an_item(rng: random.Random) -> bytes:
    """Return an event that Segment's clients send, or one that they do not."""
    event = some(rng, FIELDS)
    if rng.random() < 0.9:
        event |= {"type": "track", "event": rng.choice(["a", "b"])}
    if rng.random() < 0.4:
        event["properties"] = some(rng, PROPERTIES)
    if rng.random() < 0.4:
        event["context"] = some(rng, CONTEXT)
    item = msgspec.json.encode(event)
    if rng.random() < 0.05:
        item = item[:-1] + b',"more":%b}' % rng.choice(
            [b"1e400", b'"\xff"', b"[" * 200, b'"\\u0000"']
        )
    return item


def outcome(item: bytes, dialect: Dialect) -> tuple[Any, ...]:
    """Return the record of an item, or why there is none."""
    try:
        key, value, time_ms = record_of(item, NOW_MS, None, dialect)
    except RejectedError as exc:
        return type(exc), str(exc)
    event = msgspec.json.decode(value)
    drawn = event.pop("uuid").encode()  # at random, and the key of who has no other
    return b"" if key == drawn else key, event, time_ms


@pytest.mark.parametrize("sent_at", [None, *TIMES, (NOW - timedelta(seconds=30)).isoformat()])
@pytest.mark.parametrize("context", [None, {"ip": "5.6.7.8", "page": {"url": "/shared"}}])
def test_both_ways_make_the_same(sent_at: object, context: object) -> None:
    rng = random.Random(f"{sent_at}{context}")
    quick = segment_quick.dialect(NOW_MS, sent_at, context)
    slow = segment.dialect(NOW_MS, "", sent_at, context)
    for _ in range(300):
        item = an_item(rng)
        assert outcome(item, quick) == outcome(item, slow), item


def test_what_the_packages_send_takes_the_quick_way() -> None:
    now, library = NOW.isoformat(), {"name": "analytics-python", "version": "2.3.4"}
    python = {
        "integrations": {},
        "anonymousId": None,
        "properties": {"url": "/a", "price": 9.5},
        "timestamp": now,
        "userId": "u",
        "event": "CLICK",
        "type": "track",
        "context": {"library": library},
        "messageId": "m",
    }
    node = python | {"originalTimestamp": now, "_metadata": {"nodeVersion": "24.1.0"}}
    dialect = segment_quick.dialect(NOW_MS, now)
    for event in (python, node):
        assert isinstance(dialect(msgspec.json.encode(event)), Event)
