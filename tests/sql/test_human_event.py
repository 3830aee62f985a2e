"""The view human_event: leaves out what the bot rule drops, and nothing else."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from app.counting.duplicates import Seen
from app.counting.rules import Memory, judge
from app.events.batches import decode_batch
from app.stores.event_rows import COLUMNS as ROW
from app.stores.event_rows import rows_of, send_times_as_integers
from app.stores.sql import keep_bot_limit, migrate
from tests.support.database import Database

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
VIEWS = ("page_view", "PageView", "VIEW")
COLUMNS = ("uuid", "type", "url", "datetime", "received_at", "user_id")
PLACE = ("kafka_partition", "kafka_offset")
Row = tuple[Any, ...]


@pytest.fixture
async def database(make_database: Callable[[], Awaitable[str]]) -> Database:
    """Return a database with the schema and a partition of `event`."""
    database = Database(await make_database())
    await migrate(database.dsn)
    months = "select make_event_partitions(array['2026-10-01', '2026-11-01']::timestamptz[])"
    await database.fetch(months)
    return database


async def fill(database: Database, rows: list[Row]) -> None:
    connection = await asyncpg.connect(database.dsn)
    await connection.copy_records_to_table("event", records=rows, columns=[*COLUMNS, *PLACE])
    await connection.close()


async def human(database: Database, where: str = "true") -> list[str]:
    return [row[0] for row in await database.fetch(f"select uuid from human_event where {where}")]


def random_rows(rng: random.Random, count: int) -> list[Row]:
    """Return rows of few users and moments, in no order: many share a user and a timestamp."""
    offsets: Counter[int] = Counter()
    rows: list[Row] = []
    for number in range(count):
        partition = rng.randrange(3)
        offsets[partition] += rng.choice([1, 1, 2])
        user = rng.choice(["u1", "u2", "U1", "ü", "", None])
        moment = NOON + timedelta(microseconds=rng.choice([0, 0, 0, 1, 300, -86_400_000_000]))
        late = rng.choice([timedelta(), timedelta(seconds=1), DAY, DAY, timedelta(minutes=-1)])
        received = moment + late - timedelta(microseconds=rng.choice([0, 0, 1]))
        kind = rng.choice([*VIEWS, *VIEWS, "CLICK", "view"])
        row = (f"{number}", kind, "/a", moment, received, user, partition, offsets[partition])
        rows.append(row)
    rng.shuffle(rows)
    return rows


def expected(rows: list[Row], limit: int) -> set[str]:
    """Return the uuids that count, worked out the plain way."""
    seen: Counter[tuple[Any, ...]] = Counter()
    kept = set()
    for uuid, kind, _, moment, received, user, partition, _ in sorted(rows, key=lambda r: r[-1]):
        if kind in VIEWS and user is not None and moment != received and received - moment < DAY:
            seen[user, moment, partition] += 1
            if seen[user, moment, partition] > limit:
                continue
        kept.add(uuid)
    return kept


@pytest.mark.parametrize("seed", range(4))
async def test_it_leaves_out_exactly_what_the_rule_drops(database: Database, seed: int) -> None:
    rng = random.Random(seed)
    rows = random_rows(rng, 3000)
    await fill(database, rows)
    for limit in (10, 1 + rng.randrange(30)):
        await keep_bot_limit(database.dsn, limit)
        kept = expected(rows, limit)
        assert 0 < len(kept) < len(rows)
        assert sorted(await human(database)) == sorted(kept)
    await keep_bot_limit(database.dsn, None)
    assert len(await human(database)) == len(rows)


def random_event(rng: random.Random, recorded_ms: int) -> dict[str, Any]:
    """Return an event of a few users and moments, spelled in many ways."""
    moment = NOON - timedelta(microseconds=rng.choice([0, 0, 0, 1, 300, 86_400_000_000]))
    event: dict[str, Any] = {
        rng.choice(["type", "Type", "event_type"]): rng.choice([*VIEWS, *VIEWS, "CLICK"]),
        "user_id": rng.choice(["u1", "u2", "U1", "ü", 7, "", None]),
    }
    if rng.random() < 0.5:
        event["message_id"] = f"m{rng.randrange(300)}"
    if rng.random() < 0.9:
        east = f"{moment + timedelta(hours=2):%Y-%m-%dT%H:%M:%S.%f}+02:00"
        whole_ms = round(moment.timestamp()) * 1000
        spelled = [moment.isoformat(), east, moment.timestamp(), whole_ms, recorded_ms]
        event["timestamp"] = rng.choice(spelled)
    if rng.random() < 0.2:
        received = moment + rng.choice([timedelta(), DAY, DAY - timedelta(microseconds=1)])
        event["received_at"] = received.isoformat()
    return event


def random_records(rng: random.Random, partition: int, count: int) -> list[Any]:
    """Return records with gaps between offsets; some come twice, some are no events."""
    offset, recorded_ms, made = 0, int(NOON.timestamp() * 1000), list[Any]()
    for _ in range(count):
        recorded_ms += rng.choice([0, 0, 1, 40])
        value = json.dumps(random_event(rng, recorded_ms)).encode()
        if rng.random() < 0.05:
            value = b'{"user_id":"u1"}'
        for _ in range(rng.choice([1, 1, 1, 2])):
            offset += rng.choice([1, 1, 1, 3])
            record = SimpleNamespace(
                topic="events",
                partition=partition,
                offset=offset,
                timestamp=recorded_ms,
                value=value,
            )
            made.append(record)
    return made


def judged(rng: random.Random, records: list[Any], limit: int) -> set[tuple[int, int]]:
    """Return (partition, offset) of what a count worker counts, in batches of any size."""
    memory, seen, kept = Memory(), Seen(24), set()
    cuts = sorted({0, len(records), *rng.sample(range(len(records)), 20)})
    for begin, end in pairwise(cuts):
        valid, _, named, *_ = decode_batch(records[begin:end])
        again = seen.judge(named) if named.ids else set()
        first = valid.where([offset not in again for offset in valid.offsets])
        human = judge(first, memory, limit).human
        kept |= {(records[0].partition, offset) for offset in human.offsets}
    return kept


@pytest.mark.parametrize("seed", range(3))
async def test_it_leaves_out_exactly_what_the_count_worker_does(
    database: Database, seed: int
) -> None:
    """From the same records, through all that is between them and either side."""
    rng = random.Random(seed)
    limit = rng.choice([1, 4, 10])
    log = [random_records(rng, partition, 1200) for partition in range(3)]
    connection = await asyncpg.connect(database.dsn)
    await send_times_as_integers(connection)
    rows = [row for records in log for row in rows_of(records, Seen(24).judge)]
    assert sum(row[ROW.index("duplicate")] is True for row in rows) > 500
    rng.shuffle(rows)
    await connection.copy_records_to_table("event", records=rows, columns=ROW)
    await connection.close()
    await keep_bot_limit(database.dsn, limit)
    found = await database.fetch("select kafka_partition, kafka_offset from human_event")
    kept = set.union(*(judged(rng, records, limit) for records in log))
    assert len(found) == len(kept)
    assert {tuple(row) for row in found} == kept
    left_out = len(rows) - len(kept)
    assert 100 < left_out < len(rows) - 100


async def test_the_limit_stands_in_one_row(database: Database) -> None:
    assert [tuple(row) for row in await database.fetch("select bot_limit from bot_rule")] == [(10,)]
    for limit in (3, 3, None, 7):
        await keep_bot_limit(database.dsn, limit)
        found = [tuple(row) for row in await database.fetch("select bot_limit from bot_rule")]
        assert found == [(limit,)]


async def test_a_time_range_reaches_the_scans_below_the_window_function(
    database: Database,
) -> None:
    rows = [(f"{n}", "VIEW", "/a", NOON, NOON + DAY / 2, "u", 0, n) for n in range(20)]
    rows += [("old", "VIEW", "/a", NOON - 30 * DAY, NOON - 29 * DAY, "u", 0, 20)]
    await fill(database, rows)
    span = "datetime >= '2026-11-23' and datetime < '2026-11-24'"
    assert len(await human(database, span)) == 10
    plan = await database.fetch(f"explain select * from human_event where {span}")
    text = "\n".join(row[0] for row in plan)
    assert "event_2026_11" in text
    assert "event_2026_10" not in text, text
    scans = [line for line in text.splitlines() if "2026-11-23 00:00:00" in line]
    assert len(scans) == 2, f"one condition for each half of the view: {text}"
