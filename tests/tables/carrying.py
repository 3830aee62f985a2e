"""Events of few and many urls, what they add up to by hand, and a worker that dies."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from aiokafka.record.memory_records import MemoryRecords

from app.counting.counters import Counters
from app.counting.groups import FoldState
from app.counting.spec import Rows
from app.events.event import Event
from tables.partial_values import FoldRange
from tables.partials import Partials
from tables.totals import Totals
from tests.support.batches import judged
from tests.tables.conftest import SentRecords

BASE = "events_by_url_hourly"
LEVELS = [f"page_views_by_page_{level}" for level in ("secondly", "minutely", "hourly")]
URLS = ["/hot", "/hot", "/hot", "/warm", "/ü", *(f"/cold/{n}" for n in range(8))]
KINDS = ["VIEW", "VIEW", "page_view", "PageView", "CLICK"]
Found = dict[tuple[str, str], dict[int, int]]  # (counter, url) -> {window start: views}


class DiedError(Exception):
    """Stands for kill -9."""


def some_events(dice: random.Random, count: int, span_s: int = 3000) -> list[Event]:
    """Return events of the last minutes, of urls with many views and with one."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        Event(
            type=dice.choice(KINDS),
            url=dice.choice(URLS),
            timestamp=now - timedelta(seconds=int(dice.random() ** 2 * span_s)),
        )
        for _ in range(count)
    ]


def fold_of(
    counters: Counters, events: list[Event], partials: Partials | None = None, source: int = 0
) -> FoldRange:
    """partials: it knows which rows of a source partition are full."""

    def fold(begin: int, end: int) -> Rows:
        part, state = judged(events[begin + 1 : end + 1]), FoldState()
        if partials is not None:
            state = FoldState(full=partials.full[source])
        return counters.fold(part, datetime.now(UTC).timestamp(), state)

    return fold


def new_partials(app: Any, name: str, counters: Counters) -> Partials:
    where: dict[str, Any] = {"counts_topic": "counts", "counts_partitions": 4, "rules": {}}
    partials: Partials = Partials.create(app, name, 4, "", counters=counters, **where)
    return partials


def by_hand(events: list[Event]) -> Found:
    found: Found = {}
    for event in events:
        if event.type == "CLICK":
            continue
        assert event.url is not None
        assert event.timestamp is not None
        at = int(event.timestamp.timestamp())
        for name, window in zip(LEVELS, (1, 60, 3600), strict=True):
            windows = found.setdefault((name, event.url), Counter())
            windows[at - at % window] += 1
    return found


def records(sent: SentRecords) -> list[tuple[int, Any]]:
    """Return the records of `counts` with their partitions, in order."""
    found = []
    for topic, partition, builder, _ in sent.batches:
        if topic == "counts":
            batches = MemoryRecords(bytes(builder._build()))
            while (batch := batches.next_batch()) is not None:
                found += [
                    (partition, SimpleNamespace(key=one.key, value=one.value)) for one in batch
                ]
    return found


async def merge(totals: Totals, found: list[tuple[int, Any]]) -> None:
    for partition in range(4):
        mine = [record for at, record in found if at == partition]
        for first in range(0, len(mine), 50):
            await totals.merge(partition, mine[first : first + 50], 1)


def read(totals: Totals) -> Found:
    found: Found = {}
    for name in LEVELS:
        for url in set(URLS):
            windows = totals.read_all(name, url)
            if windows:
                found[name, url] = {start: labels[""] for start, labels in windows.items()}
    return found


async def flush(partials: Partials, most: int | None = None) -> None:
    """Flush; die behind so many writes."""
    if most is None:
        await partials.flush()
        return
    write, left = partials.write, [most]

    async def dying_write(*args: Any) -> None:
        if not left[0]:
            raise DiedError
        left[0] -= 1
        await write(*args)

    partials.write = dying_write  # type: ignore[method-assign,assignment]
    try:
        await partials.flush()
    except DiedError:
        pass
    finally:
        del partials.write
