"""`audit` finds every kind of damage, and nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from click.testing import CliRunner

from app.cli.audit import command
from tests.conftest import MakeSettings, StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import command_line
from tests.support.stores import Stores

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
    await _copies_damaged(stores)
    await _event_damage(stores)
    await _quiet_while_events_flow(stores)
    await _ranges(stores)
    await _command(stores)


async def _copies_damaged(stores: Stores) -> None:
    """Every kind of damage to event_summary and Redis at once, and repaired."""
    said = await _damage_summary(stores)
    prefix = "event_counter:url:"
    await stores.redis.hset(f"{prefix}/bots", "page_view", 9)
    await stores.redis.hset(f"{prefix}/bots", "text", "x")
    await stores.redis.hset(f"{prefix}/no", "A", 1)
    await stores.redis.set(f"{prefix}/no2", "A")
    found = await stores.differences()
    hours = {
        (d["url"], d["hour"], d["type"]): (d["event"], d["tables"], d["event_summary"])
        for d in found
        if d["what"] == "hour"
    }
    assert hours == said
    live = [(d["url"], d["type"], d["event"], d["redis"]) for d in found if d["what"] == "all_time"]
    assert live == [
        ("/bots", "page_view", 10, 9),
        ("/bots", "text", 0, "x"),
        ("/no", "A", 0, 1),
        ("/no2", "", 0, "no hash"),
    ]
    assert len(found) == len(hours) + len(live)
    await stores.rebuild("summary")
    await stores.rebuild("redis")


async def _damage_summary(stores: Stores) -> dict[tuple[str, str, str], tuple[int, int, int]]:
    """Return what event, the tables and event_summary say of what was damaged."""
    rows = await stores.database.fetch("select * from event_summary where url <> '/bots'")
    said = {("/no", "2020-01-01T00:00:00Z", "A"): (0, 0, 3)}
    for row, change in zip(random.Random(1).sample(rows, 3), (5, -1, 0), strict=True):
        count = row["count"] + change if change else 0
        key = row["url"], f"{row['datehour']:%Y-%m-%dT%H:%M:%SZ}", row["type"]
        said[key] = row["count"], row["count"], count
        await stores.database.fetch(
            "update event_summary set count = $4 where url = $1 and datehour = $2 and type = $3",
            *(row["url"], row["datehour"], row["type"], count),
        )
    await stores.database.fetch("delete from event_summary where count = 0")
    await stores.database.fetch(
        "insert into event_summary values ('/no', '2020-01-01', 'A', 3, now())"
    )
    return said


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
    before = (await stores.audit())["events"]
    async with stores.flowing():
        found = await stores.audit()
        assert found["differences"] == []
        assert found["events"] > before
    assert await stores.differences() == []


async def _ranges(stores: Stores) -> None:
    row = await stores.one("select url, datehour from event_summary where datehour < '2020-01-01'")
    change = "update event_summary set count = count + $3 where url = $1 and datehour = $2"
    await stores.database.fetch(change, *row, 1)
    hour = row["datehour"]
    for begin, end, damaged in (
        (hour, hour.replace(minute=1), True),
        (None, hour, False),
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
