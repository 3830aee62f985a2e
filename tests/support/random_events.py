"""Random bodies of events, valid and not, for tests that compare two ways of reading them."""

from __future__ import annotations

import json
import random
from typing import Any

NOW_MS = 1_790_000_000_000  # 2026-09-21T14:13:20Z, what the times below are around

# fmt: off
NAMES = [
    "uuid", "type", "url", "timestamp", "received_at", "ip", "user_id", "session_id", "ad_id",
    "app_name", "product_id", "category", "value", "properties", "date", "userId", "productId",
    "eventName", "event_type", "event_action", "event_category", "event_value", "page_url",
    "Url", "Type", "Meta", "other", "message_id", "messageId", "referrer", "user_agent",
]
# fmt: on
TEXTS = ["", "CLICK", "/a", "é", "日本", "x" * 63, "x" * 64, "é" * 127, "é" * 128, "u" * 512]
TEXTS += ["u" * 513, "u" * 2048, "u" * 2049, "é" * 1024, "é" * 1025, "a\0b", 'q"\\', "null", "😀"]
TEXTS += ["i" * 255, "i" * 256]
NUMBERS = [0, 1, -1, 1.5, -0.0, 1e300, 2**31, 2**53, 2**63, 2**64, 10**25, 10**400, 1e-320]
MOMENTS = [0, 1, -1, 1_700_000_000, 1_700_000_000_000, 1.7e9, 1_700_000_000.25, 99_999_999_999]
MOMENTS += [1e11, 253_402_300_800, 1_790_086_400, 1_790_086_401, 1_790_086_400_001, 2**63, 1e300]
TIMES = ["2024-03-15T14:30:00Z", "2020-03-25T19:05:49UTC", "2024-03-15T14:30:00", "2024-03-15"]
TIMES += ["2024-03-15T14:30:00+02:00", "2024-03-15 14:30:00", "2024-03-15T14:30:00.123456789Z"]
TIMES += ["1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:30:00+01:00", "", "x"]
TIMES += ["2026-09-22T14:13:20Z", "2026-09-22T14:13:20.001Z", "9999-12-31T23:59:59Z", "1700000000"]
TIMES += ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2024-02-30T00:00:00Z"]
TIMES += ["2026-09-22T14:13:20.0005Z", "1969-12-31T23:59:59.9999Z", "2016-12-31T23:59:60Z"]
OTHERS: list[Any] = [None, True, False, [], {}, [1], {"a": 1}, {"a": "b\0"}, {"a\0": 1}]
OTHERS += [{"a": {"b": [{"c": "\0"}]}}, {"n": 10**25}, {"n": 1e300}, {"é": "日"}, {"UserId": "u"}]
OTHERS += [{"UserId": 7, "AdId": "3"}, {"UserId": [], "AdId": None}]
BYTES = [b"\xff", b"\xed\xa0\x80", b"\0", b"\\u0000", b"\\ud800", b"\\", b'"', b"{", b"}", b","]
BYTES += [b"1e400", b"-", b"NaN", b" ", b"\n", b"\xef\xbb\xbf", b"\\u00e9", b"[" * 50]


def random_body(rng: random.Random) -> bytes:
    """Return the bytes of one event, more often sound than not, with faults of all kinds."""
    names = rng.sample(NAMES, rng.randint(0, 6))
    if rng.random() < 0.8 and not {"type", "Type", "eventName"} & set(names):
        names.insert(rng.randint(0, len(names)), "type")
    event = {name: _value(rng, name) for name in names}
    body = json.dumps(
        event,
        ensure_ascii=rng.random() < 0.3,
        separators=rng.choice([(",", ":"), (", ", ": ")]),
    ).encode()
    if rng.random() < 0.15:
        at = rng.randint(0, len(body))
        body = body[:at] + rng.choice(BYTES) + body[at + rng.randint(0, 2) :]
    return body


def _value(rng: random.Random, name: str) -> Any:
    fitting: list[Any] = TEXTS
    if name in {"timestamp", "date", "received_at"}:
        fitting = [*TIMES, *MOMENTS]
    elif name in {"value", "event_value"}:
        fitting = NUMBERS
    elif name in {"properties", "Meta"}:
        fitting = OTHERS
    if rng.random() < 0.85:
        return rng.choice(fitting)
    return rng.choice([*TEXTS, *NUMBERS, *OTHERS, *TIMES])
