"""Counters of distinct values in the table `uniques`: of a key, ranked, in memory and written."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from time import time
from types import SimpleNamespace
from typing import Any

import faust
import pytest

import tables.distinct_rows
import tables.turns
from app.counting.counters import Counters
from app.counting.declared import Meaning
from app.counting.spec import DAY, FOREVER, HOUR, CounterSpec
from app.counting.uniques import Accumulator, estimate_of
from app.errors import BadRequestError
from tables.distinct_rows import DistinctRows
from tables.uniques import Uniques

KEPT = Meaning(HOUR, key="url", measure="distinct:user_id").spec(61, "kept", "")
EXPIRING = Meaning(HOUR, key="url", measure="distinct:user_id", keep=40 * DAY).spec(62, "going", "")
START = int(time()) // HOUR * HOUR
Seen = dict[tuple[str, int, str], set[str]]  # users by key, window start, label


def nothing() -> None:
    """Nobody takes a partition."""


@pytest.fixture
def uniques(make_app: Callable[[], faust.App]) -> Uniques:
    table: Uniques = Uniques.create(
        make_app(), "uniques", 4, "", counters=Counters([KEPT, EXPIRING])
    )
    return table


def merge(uniques: Uniques, spec: CounterSpec, seen: Seen) -> None:
    for (key, start, label), users in seen.items():
        accumulator = Accumulator()
        accumulator.note_values({spec.keys.row(key, start, label): set(users)})
        records: list[Any] = [
            SimpleNamespace(key=row, value=sketch) for row, sketch in accumulator.take().items()
        ]
        uniques.merge(uniques.partition_of(key), records)
        uniques.merged(uniques.partition_of(key), 1, nothing)


def random_seen(rng: random.Random, many: int) -> Seen:
    seen: Seen = defaultdict(set)
    for _ in range(many):
        place = f"/{rng.randrange(40)}", START - rng.randrange(30) * HOUR, rng.choice("ab")
        seen[place].add(f"user {rng.randrange(60)}")
    return seen


def of_key(rows: DistinctRows, spec: CounterSpec, key: str) -> dict[tuple[int, str], int]:
    found = rows.of_key(spec, key, START - 20 * HOUR, START)
    return {(start, label): estimate_of(sketch).users for start, label, sketch in found}


def expected_of(seen: Seen, key: str) -> dict[tuple[int, str], int]:
    span = range(START - 20 * HOUR, START)
    return {(at, label): len(u) for (k, at, label), u in seen.items() if k == key and at in span}


def ranked(seen: Seen, label: str | None, limit: int) -> list[tuple[bytes, int, float]]:
    users: defaultdict[str, set[str]] = defaultdict(set)
    for (key, at, of), some in seen.items():
        if START - 20 * HOUR <= at < START and label in (None, of):
            users[key] |= some
    found = [(key.encode(), len(some), 0.0) for key, some in users.items()]
    return sorted(found, key=lambda one: (-one[1], one[0]))[:limit]


@pytest.mark.parametrize("spec", [KEPT, EXPIRING])
async def test_rows_are_the_same_in_memory_and_written_and_half_of_each(
    uniques: Uniques, spec: CounterSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_S", 0.0)
    rng, rows, seen = random.Random(4), DistinctRows(uniques), Seen()
    for _ in range(3):
        for place, users in random_seen(rng, 400).items():
            seen.setdefault(place, set()).update(users)
        merge(uniques, spec, seen)
        for _ in range(2):
            assert of_key(rows, spec, "/7") == expected_of(seen, "/7")
            for label in (None, "a"):
                span = START - 20 * HOUR, START
                top = await rows.top(spec, range(4), span, label, 5, nothing)
                assert top == ranked(seen, label, 5)
            await uniques.flush()
            uniques.forget()


@pytest.mark.parametrize("spec", [KEPT, EXPIRING])
async def test_others_have_their_turn_after_each_row(
    uniques: Uniques, spec: CounterSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_S", 0.0)
    seen = random_seen(random.Random(5), 300)
    merge(uniques, spec, seen)
    await uniques.flush()
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1

    await DistinctRows(uniques).top(spec, range(4), (0, FOREVER), None, 5, count)
    assert turns >= len(seen)


async def test_a_partition_that_moves_ends_the_reading(
    uniques: Uniques, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_S", 0.0)
    merge(uniques, KEPT, random_seen(random.Random(6), 50))

    def moved() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await DistinctRows(uniques).top(KEPT, range(4), (0, FOREVER), None, 5, moved)


async def test_too_many_values_at_a_time_are_refused_where_windows_expire(
    uniques: Uniques, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.distinct_rows, "HELD_MAX_BYTES", 100)
    seen = random_seen(random.Random(7), 300)
    rows, whole = DistinctRows(uniques), (0, FOREVER)
    for spec in (KEPT, EXPIRING):
        merge(uniques, spec, {place: set(list(users)[:1]) for place, users in seen.items()})
    with pytest.raises(BadRequestError, match="ask for fewer windows"):
        await rows.top(EXPIRING, range(4), whole, None, 5, nothing)
    monkeypatch.setattr(tables.distinct_rows, "HELD_MAX_BYTES", 60 * 8)  # a key has 60 users
    assert await rows.top(KEPT, range(4), whole, None, 5, nothing)
