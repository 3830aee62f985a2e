"""`audit` finds what the tables, or `event`, have wrong of counters of a counters.toml."""

from __future__ import annotations

import asyncio
import random

from app.names import Names
from tests.conftest import MakeSettings, StartWorker
from tests.kill.test_own_counters import COUNTERS, order
from tests.support.kafka_client import KafkaClient
from tests.support.rebuilding import count_too_much
from tests.support.running_copy import command_line
from tests.support.stores import Stores

DAYS = "select distinct (datetime at time zone 'UTC')::date as day from event"
ORDERS = 61  # number of orders_by_plan
SET_USER = "update event set user_id = $3 where kafka_partition = $1 and kafka_offset = $2"
# One of a user who bought that plan only once, so that it matters.
BUYER = """
select e.* from event e where type = 'order' and properties @> '{"test": false}' and 1 = (
    select count(*) from event o where o.type = 'order' and o.user_id = e.user_id
) limit 1
"""
SET_VALUE = "update event set value = $3 where kafka_partition = $1 and kafka_offset = $2"


async def test_a_difference_of_own_counters_is_found(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker
) -> None:
    stores = await Stores.start(make_settings, kafka, start_worker, counters=str(COUNTERS))
    rng = random.Random(3)
    for partition in range(stores.settings.events_partitions):
        await kafka.send(stores.events, [order(rng) for _ in range(200)], partition)
    assert await stores.differences() == []
    await _what_they_cost(stores)
    async with stores.flowing():
        assert await stores.differences() == []
    await _a_cent_too_much_in_event(stores)
    await _another_buyer_in_event(stores)
    await _too_much_in_the_tables(stores)
    await stores.redis.aclose()


async def _what_they_cost(stores: Stores) -> None:
    """`counters check` counts the rows that the events of a day make: all were just sent."""
    settings = stores.settings
    given = {"kafka": settings.kafka, "namespace": settings.namespace}
    check = "counters", "check", str(COUNTERS)
    postgres = settings.postgres.get_secret_value()
    done = await asyncio.to_thread(command_line, *check, postgres=postgres, **given)
    assert done.returncode == 0, done.stderr
    days = {f"{at['day']}" for at in await stores.database.fetch(DAYS)}
    for name, rows in (("orders_by_plan", 6), ("revenue", 18)):  # plans; plans and currencies
        assert f"{name}: {rows * len(days)} rows a day" in done.stdout
    assert "revenue_of_all_time: 1 rows a day" in done.stdout
    assert "the newest 800 events of the last 24 h" in done.stdout
    done = await asyncio.to_thread(command_line, *check, **given)
    assert "EVENT_COUNTER_POSTGRES is empty" in done.stdout


async def _a_cent_too_much_in_event(stores: Stores) -> None:
    row = await stores.one("select * from event where type = 'refund' limit 1")
    place = row["kafka_partition"], row["kafka_offset"]
    await stores.database.fetch(SET_VALUE, *place, row["value"] + 0.01)
    (found,) = await stores.differences()
    assert (found["what"], found["counter"]) == ("counter", "revenue")
    assert found["key"] in row["properties"]
    assert found["start"] == f"{row['datetime']:%Y-%m-%dT%H:00:00Z}"
    assert round(found["event"] - found["tables"], 6) == 0.01
    await stores.database.fetch(SET_VALUE, *place, row["value"])
    assert await stores.differences() == []


async def _another_buyer_in_event(stores: Stores) -> None:
    """A sketch tells more than its estimate: as many values that are not the same differ."""
    row = await stores.one(BUYER)
    place = row["kafka_partition"], row["kafka_offset"]
    await stores.database.fetch(SET_USER, *place, "somebody else")
    found = await stores.differences()
    assert {one["counter"] for one in found} == {"buyers"}
    start = f"{row['datetime']:%Y-%m-%dT%H:00:00Z}"
    assert [one["start"] for one in found] == [start]
    await stores.database.fetch(SET_USER, *place, row["user_id"])
    assert await stores.differences() == []


async def _too_much_in_the_tables(stores: Stores) -> None:
    names = Names(stores.settings.namespace)
    await count_too_much(stores.kafka, names, ORDERS)
    found = await stores.differences()
    assert {one["counter"] for one in found} == {"orders_by_plan"}
    assert len({one["key"] for one in found}) == 6, "five plans and __other__"
    assert all(one["tables"] > one["event"] > 0 for one in found)
