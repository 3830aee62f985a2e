"""`rebuild` sets event_summary and Redis right, whatever they say, while events flow."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from app.cli.audit import Printer
from app.cli.rebuild import command, repaired_words
from tests.conftest import MakeSettings, StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.stores import Stores

MONTHS = ("2016_05", "2016_06", "2016_07")  # that no other event is of
OF_A_MONTH = 20


async def test_summary_and_redis_are_what_event_says(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker
) -> None:
    stores = await Stores.start(make_settings, kafka, start_worker)
    await stores.send(400)
    await stores.send_bots("u1", 14)
    assert await stores.differences() == []
    await _rebuild_summary(stores)
    await _rebuild_redis(stores)
    await stores.redis.aclose()


async def _rebuild_summary(stores: Stores) -> None:
    damage = """
        update event_summary set count = count + 5 where count = 2;
        update event_summary set count = count - 1 where count = 3;
        delete from event_summary where count = 1 and datehour < '2021-01-01';
        insert into event_summary values ('/no', '2020-02-27', 'A', 3, now())
    """
    connection = await asyncpg.connect(stores.database.dsn)
    await connection.execute(damage)
    early = datetime(2021, 1, 1, tzinfo=UTC)
    async with stores.flowing():
        assert (await stores.rebuild("summary", begin=early)).lowered > 0
        left = await stores.database.fetch("select 1 from event_summary where url = '/no'")
        assert left, "before the range"
        done = await stores.rebuild("summary")
        assert done.raised > 0
        assert done.lowered > 0
    assert await stores.differences() == []
    await connection.execute("truncate event_summary")
    await stores.rebuild("summary")
    assert await stores.differences() == []
    await connection.close()


async def _rebuild_redis(stores: Stores) -> None:
    redis, prefix = stores.redis, "event_counter:url:"
    keys = [key async for key in redis.scan_iter(f"{prefix}*")]
    async with stores.flowing():
        for number, key in enumerate(keys[:40]):
            for label, count in (await redis.hgetall(key)).items():
                wrong = [int(count) + 10_000, int(count) - 1, "x", "-3", "9" * 30][number % 5]
                await redis.hset(key, label, wrong)
        await redis.hset(f"{prefix}/no", "A", 1)
        await redis.set(f"{prefix}/no2", "A")
        await redis.delete(keys[41])
        await redis.set(keys[41], "no hash")
        done = await stores.rebuild("redis")
        assert done.lowered > 20
    assert await stores.differences() == []
    assert not await redis.exists(f"{prefix}/no", f"{prefix}/no2")
    await redis.flushall()
    await stores.rebuild("redis")
    assert await stores.differences() == []


async def test_counts_of_months_whose_rows_are_elsewhere_stay(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker
) -> None:
    stores = await Stores.start(make_settings, kafka, start_worker)
    for month in MONTHS:
        await _send_to(stores, month, OF_A_MONTH)
    await stores.send(100)
    assert await stores.differences() == []
    event = stores.database.fetch
    detached, again, made_again = (f"event_{month}" for month in MONTHS)
    await event(f"alter table event detach partition {detached}")
    await _nothing_is_lowered(stores, OF_A_MONTH)
    span = "for values from ('2016-05-01Z') to ('2016-06-01Z')"
    await event(f"alter table event attach partition {detached} {span}")
    await _all_is_lowered(stores)
    await event(f"alter table event detach partition {again}")
    await _send_to(stores, MONTHS[1], 1)
    await _nothing_is_lowered(stores, OF_A_MONTH)
    assert await event(f"select from {again}_2")
    await event(f"drop table {made_again}")
    await _send_to(stores, MONTHS[2], 1)
    await _nothing_is_lowered(stores, 2 * OF_A_MONTH)
    assert await event(f"select from {made_again}")
    await stores.redis.aclose()


async def _send_to(stores: Stores, month: str, events: int) -> None:
    moment = f"{month.replace('_', '-')}-17T10:05:03Z"
    value = json.dumps({"type": "A", "url": f"/{month}", "timestamp": moment}).encode()
    await stores.kafka.send(stores.events, [value] * events, partition=0)


async def _nothing_is_lowered(stores: Stores, missing: int) -> None:
    """Too high: may be right. What is too low is raised all the same."""
    found = await stores.audit()
    assert found["missing"] == missing
    lines: list[str] = []
    Printer(lines.append).end(found)
    assert f"event lacks {missing} of the rows that were stored" in "".join(lines)
    before = await _counts(stores)
    url, label, hour = await stores.one(
        "select url, type, datehour from event_summary where datehour > '2020-03-01' limit 1"
    )
    await stores.database.fetch(
        "update event_summary set count = 0 where url = $1 and type = $2 and datehour = $3",
        *(url, label, hour),
    )
    await stores.redis.hset(f"event_counter:url:{url}", label, 0)
    for what in ("summary", "redis"):
        done = await stores.rebuild(what)
        assert (done.raised, done.lowered, done.missing) == (1, 0, missing), what
        assert f"event lacks {missing} of" in repaired_words(what, done)[1]
    assert await _counts(stores) == before


async def _all_is_lowered(stores: Stores) -> None:
    await stores.database.fetch("update event_summary set count = count + 5")
    await stores.redis.hset(f"event_counter:url:/{MONTHS[0]}", "A", OF_A_MONTH + 1)
    for what in ("summary", "redis"):
        done = await stores.rebuild(what)
        assert done.lowered > 0, what
        assert not repaired_words(what, done)[1]
    assert await stores.differences() == []


async def _counts(stores: Stores) -> tuple[Any, Any]:
    """Return what event_summary and Redis say."""
    rows = await stores.database.fetch("select url, datehour, type, count from event_summary")
    redis = stores.redis
    keys = [key async for key in redis.scan_iter("event_counter:url:*")]
    return sorted(map(tuple, rows)), {key: await redis.hgetall(key) for key in keys}


@pytest.mark.parametrize(
    "wrong",
    [
        ("redis", "--from", "2020-01-02"),
        ("tables", "--from", "2020-01-02"),
        ("summary", "--from", "2020-01-02", "--to", "2020-01-01"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(wrong: tuple[str, ...]) -> None:
    done = CliRunner().invoke(command, wrong)
    assert done.exit_code == 2
    assert "--from" in done.output
