"""Counters of a counters.toml, to the cent, killed in a flush and while one gets its past."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiokafka import ConsumerRecord

from app.counting.uniques import Accumulator, Union, decode_sketch
from tests.kill.conftest import MakeScene, Scene
from tests.kill.test_count_workers import dying
from tests.support.alerted import OwnRule, wrong_of_own
from tests.support.crew import Member
from tests.support.dying_worker import Fate
from tests.support.growing import Growing
from tests.support.rebuilding import Command, versions
from tests.support.waiting import again_and_again, wait_until

pytestmark = pytest.mark.kill

COUNTERS = Path(__file__).parents[1] / "data/own_counters.toml"
USERS = 2000
PLANS = [f"plan {number}" for number in range(9)]
RULES = [
    OwnRule("paid", "revenue", "EUR", Decimal("999.999999"), falls=True),
    OwnRule("crowd", "buyers", "", Decimal(20)),
]
KEPT, TYPES = 5, 4
ORDERED = "order", "refund"
BATCH = 400
SURE = 2.5  # times the stated error: five standard deviations
LATE = """
[[counter]]
name = "refunds"
where = { type = ["refund"] }
key = "properties.plan"
window = "all"
"""
QUICK = {"summary_interval_s": 0.5, "redis_interval_s": 0.3, "commit_interval_s": 0.3}
ENDED = ("ended with 0", "left with -15")  # to change over; told to end while it was starting
PAUSE_S = 0.2  # between sends: more events prove no more, and take longer to count anew
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
    kind = rng.choice([*ORDERED, *ORDERED, f"note {rng.randrange(9)}"])
    user = f"user {rng.randrange(USERS)}"
    event = {"type": kind, "url": "/shop", "user_id": user, "properties": properties}
    body = json.dumps(event)
    return f'{body[:-1]},"value":{value // 100}.{value % 100:02d}}}'.encode()


def truth_of(records: list[ConsumerRecord], *, late: bool) -> Sums:
    """Return what the records of a topic add up to, one by one; "all": under whatever key."""
    sums: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    amounts: set[str | None] = set()
    for record in records:
        event = json.loads(record.value, parse_float=Decimal)
        own = event["properties"]
        if event["type"] == "order" and not own["test"]:
            sums["orders_by_plan", "all", ""] += 1
            sums["orders_by_plan", own["plan"], ""] += 1
        if event["type"] == "refund" and late:
            sums["refunds", own["plan"], ""] += 1
        if event["type"] in ORDERED:
            sums["revenue", own["plan"], own["currency"]] += event["value"]
        if not own["test"]:
            sums["revenue_of_all_time", "", ""] += Decimal(own["amount"])
        amounts.add(own["amount"])
    sums["amounts", "", ""] = Decimal(sketched(amounts))
    return {place: Decimal(value) for place, value in sums.items()}


def sketched(values: set[str | None]) -> int:
    """Return how many a sketch of the same values says there are."""
    accumulator = Accumulator()
    accumulator.note_values({b"row": set(values)})
    (sketch,) = accumulator.take().values()
    estimate = Union(decode_sketch(sketch)).estimate()
    off = abs(estimate.users - len(values)) / len(values)
    assert off <= SURE * estimate.error, (estimate, len(values))
    return estimate.users


def buyers_of(records: list[ConsumerRecord]) -> dict[str, set[str]]:
    """Return {plan: users with an order} of the records of a topic."""
    buyers: defaultdict[str, set[str]] = defaultdict(set)
    for event in (json.loads(record.value) for record in records):
        if event["type"] == "order" and not event["properties"]["test"]:
            buyers[event["properties"]["plan"]].add(event["user_id"])
    return buyers


async def answered(scene: Scene, http: aiohttp.ClientSession, counter: str, key: str) -> Any:
    """Return {label: value} of all windows."""
    return (await asked(scene, http, counter, key))["total"]


async def asked(scene: Scene, http: aiohttp.ClientSession, counter: str, key: str) -> Any:
    """Return the answer of GET /counts/."""
    url = f"{scene.crew.urls[0]}/counts/{counter}"
    async with http.get(url, params={"key": key}) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return json.loads(text, parse_float=Decimal)


async def found_in(scene: Scene, *, late: bool) -> Sums:
    """Return the same as truth_of() from the tables."""
    sums: Sums = {}
    async with aiohttp.ClientSession() as http:
        orders = {}
        for plan in [*PLANS, "__other__"]:
            if said := await answered(scene, http, "orders_by_plan", plan):
                orders[plan] = sums["orders_by_plan", plan, ""] = Decimal(said[""])
            if said := await answered(scene, http, "buyers", plan):
                sums["buyers", plan, ""] = Decimal(said[""])
            if plan in PLANS:
                if late:
                    for value in (await answered(scene, http, "refunds", plan)).values():
                        sums["refunds", plan, ""] = Decimal(value)
                for currency, value in (await answered(scene, http, "revenue", plan)).items():
                    sums["revenue", plan, currency] = Decimal(value)
        sums["orders_by_plan", "all", ""] = Decimal(sum(orders.values()))
        for counter in ("revenue_of_all_time", "amounts"):
            for value in (await answered(scene, http, counter, "")).values():
                sums[counter, "", ""] = Decimal(value)
    return sums


def differences(found: Sums, truth: Sums, buyers: dict[str, set[str]]) -> list[object]:
    """Return what differs; of keys that are counted under __other__ only the sum is known."""
    truth |= {("buyers", *place): value for place, value in buyers_kept(found, buyers)}
    kept = {key for name, key, _ in found if name == "orders_by_plan"} - {"all", "__other__"}
    if len(kept) != KEPT:
        return [f"{sorted(kept)} are kept"]
    known = {
        place: value
        for place, value in truth.items()
        if place[0] != "orders_by_plan" or place[1] in {*kept, "all"}
    }
    ours = {
        place: value
        for place, value in found.items()
        if place[:2] != ("orders_by_plan", "__other__")
    }
    return [
        (place, ours.get(place), known.get(place))
        for place in sorted({*ours, *known})
        if ours.get(place) != known.get(place)
    ]


async def types_of(scene: Scene) -> dict[str, int]:
    """Return the totals of types; those of events that nobody orders or refunds are beyond."""
    async with aiohttp.ClientSession() as http:
        found: dict[str, int] = await answered(scene, http, "events_by_type", "")
    assert len(found) == TYPES + 1, found
    return found


def buyers_kept(
    found: Sums, buyers: dict[str, set[str]]
) -> Iterator[tuple[tuple[str, str], Decimal]]:
    """Yield ((key, label), how many) of the plans that are kept, and of all others together."""
    kept = {key for name, key, _ in found if name == "buyers"} - {"__other__"}
    for plan in kept:
        yield (plan, ""), Decimal(len(buyers.get(plan, ())))
    if others := set[str]().union(*(users for plan, users in buyers.items() if plan not in kept)):
        yield ("__other__", ""), Decimal(len(others))


async def wrongly_alerted(scene: Scene) -> list[object]:
    """Return what is wrong with the alerts, by what the tables answer."""
    values, keys = await scene.kafka.values(scene.names.alerts), [*PLANS, "__other__"]
    async with aiohttp.ClientSession() as http:
        return await wrong_of_own(RULES, values, keys, partial(asked, scene, http))


async def compare(scene: Scene, *, late: bool = False) -> Sums:
    """Wait until the tables say what the topic holds; return what they say.

    late: whether they have the counter that was declared later.
    """
    records = await scene.kafka.read(scene.names.events)
    truth, buyers = truth_of(records, late=late), buyers_of(records)

    async def wrong() -> list[object]:
        try:
            return differences(await found_in(scene, late=late), dict(truth), buyers)
        except (AssertionError, aiohttp.ClientError, KeyError) as exc:
            return [repr(exc)]

    await wait_until(wrong, [], deadline_s=90)
    return await found_in(scene, late=late)


async def test_own_counters_are_exact_whatever_dies(
    make_scene: MakeScene, tmp_path: Path, *, soaking: bool
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(COUNTERS.read_text("utf-8"), "utf-8")
    rules = tmp_path / "rules.toml"
    rules.write_text("".join(rule.toml for rule in RULES), "utf-8")
    own = {"counters": str(file), "alert_rules": str(rules)}
    scene = await make_scene(**own, statistics=True, most_types=TYPES, **QUICK)
    scene.crew.hire("store").join()
    worker = scene.crew.hire("count", dying=True)
    await _deaths_in_a_flush(scene, worker, soaking=soaking)
    before, types = await compare(scene), await types_of(scene)
    await wait_until(lambda: wrongly_alerted(scene), [], deadline_s=30)
    file.write_text(COUNTERS.read_text("utf-8") + LATE, "utf-8")
    worker.kill(wipe=True)  # what is left is what Kafka has
    await scene.crew.ready()
    assert await compare(scene) == before, "the same keys are kept"
    assert await types_of(scene) == types, "and the same types"
    assert await wrongly_alerted(scene) == []
    async with again_and_again(partial(_send, scene), PAUSE_S):
        await _the_past_of_a_counter(scene, worker)
    after = await compare(scene, late=True)
    assert {key for name, key, _ in after if name == "orders_by_plan"} == {
        key for name, key, _ in before if name == "orders_by_plan"
    }
    assert (await types_of(scene)).keys() == types.keys()
    await wait_until(lambda: wrongly_alerted(scene), [], deadline_s=30)
    code, said = await _command(scene, "audit", "audit").done()
    assert code == 0, said
    scene.tally.exact = True
    assert [s for s in scene.tally.surprises if not any(end in s for end in ENDED)] == []


async def _deaths_in_a_flush(scene: Scene, worker: Member, *, soaking: bool) -> None:
    ends = [
        Fate("uniques", rocksdb=True, changelog=False),
        Fate("partials", rocksdb=True, changelog=False, counts=0.0),
        Fate("partials", rocksdb=False, changelog=False, counts=0.5),
        Fate("totals", rocksdb=True, changelog=False),
        Fate("commit"),
    ]
    scene.rng.shuffle(ends)
    # Alerts come early in the load, and once.
    ends = [Fate("alerts", changelog=scene.rng.random() < 0.5), *(ends if soaking else ends[:1])]
    dying(worker, ends)
    worker.join()
    for number in range(len(ends)):
        while worker.deaths <= number:
            await _send(scene)
            await asyncio.sleep(PAUSE_S)
        if scene.rng.random() < 0.3:
            worker.wipe_next()
    await scene.crew.ready()


async def _send(scene: Scene) -> None:
    events = [order(scene.rng) for _ in range(scene.rng.randrange(1, BATCH))]
    await scene.kafka.send(scene.names.events, events)


async def _the_past_of_a_counter(scene: Scene, worker: Member) -> None:
    """Count it; kill the command, then the worker that answers. Nothing is ever lower."""
    figures = [f"/counts/refunds?key={quote(plan)}" for plan in PLANS[:2]]
    async with Growing(scene.crew.urls, figures, lambda said: said["total"]) as growing:
        first = _command(scene, "first", "rebuild", "counter", "refunds")
        log = scene.settings.data_dir / "logs/rebuild-tables.log"
        await wait_until(log.exists, expected=True, deadline_s=60)
        await first.kill()
        second = _command(scene, "second", "rebuild", "counter", "refunds")
        await wait_until(
            lambda: versions(scene.kafka, scene.settings.namespace), [1, 3], deadline_s=60
        )
        worker.kill()
        code, said = await second.done()
        assert (code, "refunds has its past" in said) == (0, True), said
        await scene.crew.ready()
        await growing.answered_again()


def _command(scene: Scene, name: str, *arguments: str) -> Command:
    output = scene.settings.data_dir.parent / f"{name}.out"
    return Command(scene.settings, scene.crew.urls, output, *arguments)
