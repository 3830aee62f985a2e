"""Counters of a counters.toml, to the cent, with count workers killed in a flush."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import ConsumerRecord

from tests.kill.conftest import MakeScene, Scene
from tests.kill.test_count_workers import dying
from tests.support.dying_worker import Fate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kill

COUNTERS = Path(__file__).parents[1] / "data/own_counters.toml"
PLANS = [f"plan {number}" for number in range(9)]
KEPT = 5
BATCH = 400
Sums = dict[tuple[str, str, str], Decimal]  # counter, key, label


def order(rng: random.Random) -> bytes:
    amount = f"{rng.randrange(-500_000_000, 500_000_000)}e-6"
    properties = {
        "plan": rng.choice(PLANS),
        "test": rng.random() < 0.1,
        "currency": rng.choice(["EUR", "USD"]),
        "amount": f"{Decimal(amount):f}",
    }
    value = rng.randrange(-100_000, 1_000_000)
    body = json.dumps({"type": rng.choice(["order", "refund"]), "properties": properties})
    return f'{body[:-1]},"value":{value // 100}.{value % 100:02d}}}'.encode()


def truth_of(records: list[ConsumerRecord]) -> Sums:
    """Return what the records of a topic add up to, one by one; "all": under whatever key."""
    sums: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for record in records:
        event = json.loads(record.value, parse_float=Decimal)
        own = event["properties"]
        if event["type"] == "order" and not own["test"]:
            sums["orders_by_plan", "all", ""] += 1
            sums["orders_by_plan", own["plan"], ""] += 1
        sums["revenue", own["plan"], own["currency"]] += event["value"]
        if not own["test"]:
            sums["revenue_of_all_time", "", ""] += Decimal(own["amount"])
    return {place: Decimal(value) for place, value in sums.items()}


async def answered(scene: Scene, http: aiohttp.ClientSession, counter: str, key: str) -> Any:
    """Return {label: value} of all windows."""
    url = f"{scene.crew.urls[0]}/counts/{counter}"
    async with http.get(url, params={"key": key}) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return json.loads(text, parse_float=Decimal)["total"]


async def found_in(scene: Scene) -> Sums:
    """Return the same as truth_of() from the tables."""
    sums: Sums = {}
    async with aiohttp.ClientSession() as http:
        orders = {}
        for plan in [*PLANS, "__other__"]:
            if said := await answered(scene, http, "orders_by_plan", plan):
                orders[plan] = sums["orders_by_plan", plan, ""] = Decimal(said[""])
            if plan in PLANS:
                for currency, value in (await answered(scene, http, "revenue", plan)).items():
                    sums["revenue", plan, currency] = Decimal(value)
        sums["orders_by_plan", "all", ""] = Decimal(sum(orders.values()))
        for value in (await answered(scene, http, "revenue_of_all_time", "")).values():
            sums["revenue_of_all_time", "", ""] = Decimal(value)
    return sums


def differences(found: Sums, truth: Sums) -> list[object]:
    """Return what differs; of keys that are counted under __other__ only the sum is known."""
    kept = {key for name, key, _ in found if name == "orders_by_plan"} - {"all", "__other__"}
    if len(kept) != KEPT:
        return [f"{sorted(kept)} are kept"]
    known = {
        place: value
        for place, value in truth.items()
        if place[0] != "orders_by_plan" or place[1] in {*kept, "all"}
    }
    ours = {place: value for place, value in found.items() if place[1] != "__other__"}
    return [
        (place, ours.get(place), known.get(place))
        for place in sorted({*ours, *known})
        if ours.get(place) != known.get(place)
    ]


async def compare(scene: Scene) -> Sums:
    """Wait until the tables say what the topic holds; return what they say."""
    truth = truth_of(await scene.kafka.read(scene.names.events))

    async def wrong() -> list[object]:
        try:
            return differences(await found_in(scene), truth)
        except (AssertionError, aiohttp.ClientError, KeyError) as exc:
            return [repr(exc)]

    await wait_until(wrong, [], deadline_s=90)
    return await found_in(scene)


async def test_own_counters_are_exact_after_deaths_in_a_flush(make_scene: MakeScene) -> None:
    scene = await make_scene(counters=str(COUNTERS), statistics=True)
    rng, worker = scene.rng, scene.crew.hire("count", dying=True)
    ends = [
        Fate("partials", rocksdb=True, changelog=False, counts=0.0),
        Fate("partials", rocksdb=False, changelog=False, counts=0.5),
        Fate("totals", rocksdb=True, changelog=False),
        Fate("commit"),
    ]
    rng.shuffle(ends)
    dying(worker, ends)
    worker.join()
    for number in range(len(ends)):
        while worker.deaths <= number:
            events = [order(rng) for _ in range(rng.randrange(1, BATCH))]
            await scene.kafka.send(scene.names.events, events)
            await asyncio.sleep(0.05)
        if rng.random() < 0.3:
            worker.wipe_next()
    await scene.crew.ready()
    before = await compare(scene)
    await scene.rebuilt()
    assert await compare(scene) == before, "the same keys are kept"
    scene.tally.exact = True
    assert not scene.tally.surprises
