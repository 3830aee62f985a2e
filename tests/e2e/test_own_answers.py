"""Questions to counters of a counters.toml: hours and days of a zone, CSV, top, keys."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from app.events.positions import shown
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.workers import WorkerProcess
from tests.conftest import StartWorker
from tests.support.kafka_client import KafkaClient

COUNTERS = """
[[counter]]
name = "revenue"
key = "properties.plan"
label = "category"
measure = "sum:value"
window = "1h"

[[counter]]
name = "buyers"
key = "properties.plan"
measure = "distinct:user_id"
window = "1h"

[[counter]]
name = "buyers_lately"
key = "properties.plan"
label = "category"
measure = "distinct:user_id"
window = "1m"
keep = "30d"

[[counter]]
name = "buyers_ever"
measure = "distinct:user_id"
window = "all"

[[counter]]
name = "large"
key = "properties.plan"
measure = "sum:properties.large"
window = "all"
"""
BERLIN = "by=1d&tz=Europe/Berlin"
# The largest sum of a cell but one millionth; twice that has no room.
LARGE = "9223372036854.775806"


def sale(at: str, plan: str, user: str, value: str, category: str | None = None) -> bytes:
    properties = {"plan": plan, "large": LARGE if plan == "huge" else None}
    event = {"type": "sale", "timestamp": at, "user_id": user, "properties": properties}
    body = json.dumps({**event, "timestamp": at or None, "category": category})
    return f'{body[:-1]},"value":{value}}}'.encode()


SALES = [
    # 2026-03-29 has 23 hours in Berlin: from 23:00 of the day before to 22:00, UTC.
    sale("2026-03-28T22:59:59Z", "pro", "ann", "0.1"),
    sale("2026-03-28T23:00:00Z", "pro", "ann", "0.2"),
    sale("2026-03-29T00:59:59Z", "pro", "bob", "-0.3"),
    sale("2026-03-29T01:00:00Z", "pro", "ann", "1e-6"),
    sale("2026-03-29T21:59:59Z", "pro", "cyd", "5"),
    sale("2026-03-29T22:00:00Z", "pro", "ann", "7.25"),
    # 2025-10-26 has 25: from 22:00 of the day before to 23:00, UTC.
    sale("2025-10-25T22:00:00Z", "old", "ann", "19.99"),
    sale("2025-10-26T00:30:00Z", "old", "bob", "0.01"),
    sale("2025-10-26T01:30:00Z", "old", "bob", "-20"),
    sale("2025-10-26T22:59:59Z", "old", "dan", "0.05"),
    sale("2025-10-26T23:00:00Z", "old", "dan", "3"),
]


class Asking:
    """A count worker; each answer has all sales in it."""

    def __init__(self, worker: WorkerProcess, position: str) -> None:
        self._worker, self._position = worker, position

    async def text(self, path: str) -> str:
        joint = "&" if "?" in path else "?"
        url = f"{self._worker.url}/counts/{path}{joint}min_position={self._position}&wait=10"
        async with aiohttp.ClientSession() as http:
            while True:
                async with http.get(url) as answer:
                    if answer.status != 503:  # behind: as Retry-After says
                        return await answer.text()

    async def json(self, path: str) -> Any:
        return json.loads(await self.text(path), parse_float=Decimal)

    async def shown(self, path: str) -> list[tuple[str, dict[str, Any]]]:
        """Return (start, counts) of the windows."""
        return [(one["start"], one["counts"]) for one in (await self.json(path))["windows"]]


async def test_sums_and_distinct_values_are_answered_to_the_cent_and_hour(
    settings: Settings, kafka: KafkaClient, start_worker: StartWorker, tmp_path: Path
) -> None:
    file = tmp_path / "counters.toml"
    file.write_text(COUNTERS, "utf-8")
    settings = settings.model_copy(update={"counters": str(file)})
    await ensure_topics(settings)
    worker = await start_worker(settings, "count", "count-1")
    topic = Names(settings.namespace).events
    for number, one in enumerate(SALES):
        await kafka.send(topic, [one], number % settings.events_partitions)
    now = [sale("", "new", user, "2.5", label) for user, label in (("ann", "a"), ("bob", "b"))]
    huge = [sale("", "huge", "ann", "0")] * 2
    await kafka.send(topic, [now[0]] * 3 + now + huge, 0)
    ask = Asking(worker, shown(await kafka.ends(topic)))
    assert (await ask.json("buyers_ever"))["total"] == {"": 4}
    large = {"counter": "large", "keys": [{"key": "huge", "value": Decimal(LARGE)}]}
    assert await ask.json("large/top") == large
    await sums(ask)
    await days(ask)
    await distinct_values(ask)
    await keys_and_top(ask)


async def sums(ask: Asking) -> None:
    hours = await ask.shown("revenue?key=pro")
    assert hours == [
        ("2026-03-28T22:00:00Z", {"": Decimal("0.1")}),
        ("2026-03-28T23:00:00Z", {"": Decimal("0.2")}),
        ("2026-03-29T00:00:00Z", {"": Decimal("-0.3")}),
        ("2026-03-29T01:00:00Z", {"": Decimal("0.000001")}),
        ("2026-03-29T21:00:00Z", {"": 5}),
        ("2026-03-29T22:00:00Z", {"": Decimal("7.25")}),
    ]
    assert (await ask.json("revenue?key=old"))["total"] == {"": Decimal("3.05")}
    lines = (await ask.text(f"revenue?key=old&{BERLIN}&format=csv")).split("\r\n")
    assert lines == [
        "start,label,count",
        "2025-10-26T00:00:00+02:00,,0.05",
        "2025-10-27T00:00:00+01:00,,3",
        "",
    ]


async def days(ask: Asking) -> None:
    assert await ask.shown(f"revenue?key=pro&{BERLIN}") == [
        ("2026-03-28T00:00:00+01:00", {"": Decimal("0.1")}),
        ("2026-03-29T00:00:00+01:00", {"": Decimal("4.900001")}),
        ("2026-03-30T00:00:00+02:00", {"": Decimal("7.25")}),
    ]
    assert await ask.shown(f"buyers?key=pro&{BERLIN}") == [
        ("2026-03-28T00:00:00+01:00", {"": 1}),
        ("2026-03-29T00:00:00+01:00", {"": 3}),
        ("2026-03-30T00:00:00+02:00", {"": 1}),
    ]
    assert await ask.shown(f"buyers?key=old&{BERLIN}") == [
        ("2025-10-26T00:00:00+02:00", {"": 3}),
        ("2025-10-27T00:00:00+01:00", {"": 1}),
    ]
    refused = await ask.json("buyers?key=old&by=1d&tz=Asia/Kolkata")
    assert (refused["code"], "cannot be split" in refused["message"]) == ("bad_request", True)


async def distinct_values(ask: Asking) -> None:
    found = await ask.json("buyers?key=old&from=2025-10-26T00:00:00Z&to=2025-10-26T02:00:00Z")
    assert found == {
        "counter": "buyers",
        "key": "old",
        "windows": [
            {"start": "2025-10-26T00:00:00Z", "counts": {"": 1}, "error": 0},
            {"start": "2025-10-26T01:00:00Z", "counts": {"": 1}, "error": 0},
        ],
        "total": {"": 1},
        "error": 0,
    }
    assert (await ask.json("buyers_lately?key=new&by=1d"))["total"] == {"a": 1, "b": 1}
    assert (await ask.json("buyers_lately?key=pro"))["total"] == {}, "past its retention"
    lines = (await ask.text("buyers_ever?format=csv")).split("\r\n")
    assert lines == ["start,label,count,error", ",,4,0.0", ""]


async def keys_and_top(ask: Asking) -> None:
    top = await ask.json("buyers/top?from=2025-10-01T00:00:00Z&limit=2")
    assert top["keys"] == [
        {"key": "old", "value": 3, "error": 0},
        {"key": "pro", "value": 3, "error": 0},
    ]
    lately = await ask.json("buyers_lately/top")
    assert [(one["key"], one["value"]) for one in lately["keys"]] == [("new", 2), ("huge", 1)]
    lately = await ask.json("buyers_lately/top?label=b")
    assert [(one["key"], one["value"]) for one in lately["keys"]] == [("new", 1)]
    assert (await ask.text("buyers/top?limit=1&format=csv")).split("\r\n") == [
        "key,value,error",
        "old,3,0.0",
        "",
    ]
    first = await ask.json("buyers/keys?limit=2")
    assert (first["keys"], first["next"]) == (["huge", "new"], "new")
    assert (await ask.json("buyers/keys?after=new"))["keys"] == ["old", "pro"]
    assert (await ask.json("buyers_lately/keys?prefix=n"))["keys"] == ["new"]
    sums_first = await ask.json("revenue/top?limit=3")
    assert sums_first["keys"] == [
        {"key": "new", "value": Decimal("12.5")},
        {"key": "pro", "value": Decimal("12.250001")},
        {"key": "old", "value": Decimal("3.05")},
    ]
