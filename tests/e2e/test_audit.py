"""`audit` finds every kind of damage, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from app.cli.audit import command
from tests.conftest import MakeSettings, StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import command_line
from tests.support.stores import Stores

LARGEST = "select * from event_summary order by count desc, url, type limit 1"
A_PLACE = "select * from event where url is not null limit 1"


@pytest.fixture
async def stores(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker
) -> AsyncIterator[Stores]:
    """Yield stores that hold some events."""
    stores = await Stores.start(make_settings, kafka, start_worker)
    await stores.send(400)
    await stores.send_bots("u1", 14)
    yield stores
    await stores.redis.aclose()


async def test_all_damage_is_found_and_nothing_else(stores: Stores) -> None:
    found = await stores.audit()
    assert found["differences"] == [], found
    assert found["events"] > 100
    views = await stores.database.fetch("select count(*) from human_event where url = '/bots'")
    assert views[0][0] == 10
    assert sum(found["offsets"].values()) == 430
    await _summary_damage(stores)
    await _redis_damage(stores)
    await _event_damage(stores)
    await _quiet_while_events_flow(stores)
    await _ranges(stores)
    await _command(stores)


async def _summary_damage(stores: Stores) -> None:
    row = await stores.one(LARGEST)
    where = "where url = $1 and datehour = $2 and type = $3"
    key = row["url"], row["datehour"], row["type"]
    for change in (1, -1):
        await stores.database.fetch(
            f"update event_summary set count = count + $4 {where}", *key, change
        )
        (difference,) = await stores.differences()
        assert difference == {
            "what": "hour",
            "url": row["url"],
            "hour": f"{row['datehour']:%Y-%m-%dT%H:%M:%SZ}",
            "type": row["type"],
            "event": row["count"],
            "tables": row["count"],
            "event_summary": row["count"] + change,
        }
        await stores.database.fetch(
            f"update event_summary set count = $4 {where}", *key, row["count"]
        )
    await stores.database.fetch(f"delete from event_summary {where}", *key)
    (difference,) = await stores.differences()
    assert difference["event_summary"] == 0
    await stores.database.fetch(
        "insert into event_summary values ($1, $2, $3, $4, now())", *key, row["count"]
    )
    await stores.database.fetch(
        "insert into event_summary values ('/no', '2020-01-01', 'A', 3, now())"
    )
    (difference,) = await stores.differences()
    assert (difference["url"], difference["event"], difference["event_summary"]) == ("/no", 0, 3)
    await stores.database.fetch("delete from event_summary where url = '/no'")


async def _redis_damage(stores: Stores) -> None:
    row = await stores.one(
        "select url, type, sum(count)::int as n from event_summary group by 1, 2 order by 3 desc"
    )
    key = f"event_counter:url:{row['url']}"
    for said in (row["n"] - 1, row["n"] + 1, "x"):
        await stores.redis.hset(key, row["type"], said)
        (difference,) = await stores.differences()
        assert difference == {
            "what": "all_time",
            "url": row["url"],
            "type": row["type"],
            "event": row["n"],
            "redis": said,
        }
    await stores.redis.hset(key, row["type"], row["n"])
    await stores.redis.hset("event_counter:url:/no", "A", 1)
    await stores.redis.set("event_counter:url:/no2", "A")
    found = await stores.differences()
    assert [(d["url"], d["redis"]) for d in found] == [("/no", 1), ("/no2", "no hash")]
    await stores.redis.delete("event_counter:url:/no", "event_counter:url:/no2")


async def _event_damage(stores: Stores) -> None:
    row = await stores.one(A_PLACE)
    place = f"kafka_partition = {row['kafka_partition']} and kafka_offset = {row['kafka_offset']}"
    await stores.database.fetch(f"insert into event select * from event where {place}")
    await _expect_event(stores, row, 1)
    await stores.database.fetch(f"create table kept as select * from event where {place} limit 1")
    await stores.database.fetch(f"delete from event where {place}")
    await _expect_event(stores, row, -1)
    await stores.database.fetch("insert into event select * from kept")


async def _expect_event(stores: Stores, row: object, change: int) -> None:
    found = {difference["what"]: difference for difference in await stores.differences()}
    assert set(found) == {"hour", "all_time", "counted", "stored", "received"}
    hour, stored = found["hour"], found["stored"]
    assert hour["url"] == row["url"]  # type: ignore[index]
    assert hour["event"] - hour["tables"] == hour["event"] - hour["event_summary"] == change
    assert stored["event"] - stored["sink_offsets"] == change
    assert found["counted"]["event"] - found["counted"]["tables"] == change


async def _quiet_while_events_flow(stores: Stores) -> None:
    async def flow() -> None:
        while True:
            await stores.send(100)

    flowing = asyncio.create_task(flow())
    for _ in range(2):
        found = await stores.audit()
        assert found["differences"] == []
        assert found["events"] > 600
    flowing.cancel()
    assert await stores.differences() == []


async def _ranges(stores: Stores) -> None:
    row = await stores.one("select url, datehour from event_summary where datehour < '2020-01-01'")
    change = "update event_summary set count = count + $3 where url = $1 and datehour = $2"
    await stores.database.fetch(change, *row, 1)
    hour = row["datehour"]
    for begin, end, damaged in (
        (hour, hour.replace(minute=1), True),
        (hour.replace(minute=59), None, True),
        (None, hour, False),
        (datetime(2021, 1, 1, tzinfo=UTC), None, False),
    ):
        assert bool((await stores.audit(begin, end))["differences"]) == damaged, (begin, end)
    await stores.database.fetch(change, *row, -1)


async def _command(stores: Stores) -> None:
    given = {
        name.removeprefix("EVENT_COUNTER_").lower(): value
        for name, value in stores.settings.to_env().items()
    }
    await stores.database.fetch(
        "insert into event_summary values ('/no', '2020-01-01', 'A', 3, now())"
    )
    done = await asyncio.to_thread(command_line, "audit", "--from", "2020-01-01T00:00:00Z", **given)
    assert done.returncode == 1, done.stderr
    line, result, *_ = done.stdout.splitlines()
    assert line == "/no 2020-01-01T00:00:00Z A: event 0, tables 0, event_summary 3"
    assert result.startswith("1 difference: compared hours from 2020-01-01T00:00:00Z,")
    await stores.database.fetch("delete from event_summary where url = '/no'")
    done = await asyncio.to_thread(command_line, "audit", **given)
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "no difference"), done.stderr


@pytest.mark.parametrize(
    "wrong", [("--from", "soon"), ("--from", "2020-01-02T00:00:00Z", "--to", "2020-01-01")]
)
def test_a_bad_range_is_named(wrong: tuple[str, ...]) -> None:
    done = CliRunner().invoke(command, wrong)
    assert done.exit_code == 2
    assert "--from" in done.output
