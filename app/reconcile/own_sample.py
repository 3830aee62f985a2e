"""What counters of a counters.toml would cost: rows a day, from the newest rows of event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from app.counting.counters import Counters
from app.counting.spec import DAY, OTHER_KEY, CounterSpec
from app.events.batches import Verdicts
from app.reconcile.own_counters import verdicts_of
from app.stores.connect import connect_postgres
from app.stores.postgres import postgres_needed
from app.stores.sql import load_queries

SAMPLE_MAX = 50_000  # events; some 10 us each for a counter


async def newest(dsn: str) -> list[Any]:
    """Return the newest events of the last day, SAMPLE_MAX at most; raise StartError."""
    with postgres_needed():
        connection = await connect_postgres(dsn, "event-counter counters")
        try:
            return list(await connection.fetch(load_queries()["counters.sample"], SAMPLE_MAX))
        finally:
            await connection.close()


def rows_a_day(specs: Iterable[CounterSpec], events: Sequence[Any], now: float) -> dict[str, int]:
    """Return {counter: rows of the tables that a day of such events makes}.

    events: of newest(). now: seconds since 1970. Where there are SAMPLE_MAX, they may span less
    than a day; what they make is then taken as often as that fits into one: it is less, as keys
    come again.
    """
    if not events:
        return dict.fromkeys((spec.name for spec in specs), 0)
    oldest = min(event["datetime"] for event in events).timestamp()
    days = 1.0 if len(events) < SAMPLE_MAX else max(1.0, now - oldest) / DAY
    parts = [verdicts for _, verdicts in verdicts_of(events)]
    return {spec.name: round(len(_rows(spec, parts, now)) / days) for spec in specs}


def _rows(spec: CounterSpec, parts: Iterable[Verdicts], now: float) -> set[tuple[str, int, str]]:
    counters, keys = Counters([replace(spec, most_keys=0)]), dict[str, None]()
    found = set()
    for verdicts in parts:
        for row in chain(counters.fold(verdicts, now), counters.distinct_values({}, verdicts, now)):
            key, start, label = spec.keys.parse(row)
            if spec.most_keys and key not in keys:
                if len(keys) < spec.most_keys:
                    keys[key] = None
                else:
                    key = OTHER_KEY
            found.add((key, start, label))
    return found
