"""`rebuild` sets event_summary and Redis right, whatever they say, while events flow."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
import pytest
from click.testing import CliRunner

from app.cli.rebuild import command
from tests.conftest import MakeSettings, StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.stores import Stores


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
