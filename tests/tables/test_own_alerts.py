"""Alerts of sums and of distinct values: each once, also of a sum that falls and rises again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from time import time
from types import SimpleNamespace
from typing import Any

import faust
import msgspec
import pytest

from agents.merge_uniques import SketchMerging
from app.alerting.alerts import Rule
from app.counting.counters import Counters
from app.counting.declared import Meaning
from app.counting.measures import MICROS
from app.counting.row_keys import SOURCE
from app.counting.spec import HOUR
from app.counting.uniques import Accumulator
from app.events.records import Batch
from tables.totals import Totals
from tables.uniques import Uniques
from tests.tables.test_alerts import GATE, Topic, make_alerts

REVENUE = Meaning(HOUR, "url", "category", "sum:value").spec(61, "revenue", "")
BUYERS = Meaning(HOUR, "url", "category", "distinct:user_id").spec(62, "buyers", "")
START = int(time()) // HOUR * HOUR
RULES = [
    Rule("paid", "revenue", "eur", 19_990_000, HOUR, None, REVENUE.measure),
    Rule("rich", "revenue", "eur", 100 * MICROS, HOUR, None, REVENUE.measure),
    Rule("crowd", "buyers", "eur", 5, HOUR, None, BUYERS.measure),
    Rule("only_b", "buyers", "eur", 6, HOUR, "/b", BUYERS.measure),
    Rule("masses", "buyers", "usd", 5000, HOUR, None, BUYERS.measure),
]


class Shop:
    """Totals, sketches, and the alerts that look at both; owner: whether partitions are ours."""

    def __init__(self, app: faust.App, topic: Topic) -> None:
        self.owner, self.gate = True, GATE
        counters = Counters([REVENUE, BUYERS])
        self.totals: Totals = Totals.create(app, "totals", 4, "", counters=counters)
        self.uniques: Uniques = Uniques.create(app, "uniques", 4, "", counters=counters)

        self.alerts = make_alerts(app, RULES, counters, topic, lambda: self.owner)
        self.totals.watch_with(self.alerts)
        self.partition = self.totals.partition_of("/a")
        consumer: Any = SimpleNamespace(consumer=self)
        self._merging = SketchMerging(consumer, self.uniques, self.alerts)

    async def pay(self, added: int, taken: int = 0, source: int = 0, label: str = "eur") -> bool:
        """Merge what a source partition has added and taken away in this hour, in millionths."""
        start, slot = REVENUE.place(START)
        key = REVENUE.keys.row("/a", start, label) + SOURCE.pack(source)
        cells = {2 * slot: added, 2 * slot + 1: taken}
        record = SimpleNamespace(key=key, value=msgspec.msgpack.encode((9, cells)))
        await self.totals.merge(self.partition, [record], 1)
        return await self.alerts.raise_due(self.partition, GATE)

    async def buy(self, users: Iterable[str], key: str = "/a", label: str = "eur") -> bool:
        """Merge who bought something in this hour; return whether it may be committed."""
        accumulator = Accumulator()
        accumulator.note_values({BUYERS.keys.row(key, START, label): set(users)})
        place = {"partition": self.uniques.partition_of(key), "offset": 3}
        sent = accumulator.take().items()
        batch = Batch([SimpleNamespace(key=row, value=sketch, **place) for row, sketch in sent])
        batch.gate = GATE
        return await self._merging.whole(batch)


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def make_shop(make_app: Callable[[], faust.App], topic: Topic) -> Callable[[], Shop]:
    return lambda: Shop(make_app(), topic)


def said(topic: Topic) -> list[str]:
    """Return what the alerts say of their rule, the threshold and the value, as text."""
    fields = "rule", "threshold", "count", "error"
    alerts = [json.loads(value, parse_float=str) for _, _, value in topic.records]
    return [" ".join(str(alert[name]) for name in fields if name in alert) for alert in alerts]


async def test_a_sum_that_rises_and_falls_raises_one_alert_with_the_value_it_saw(
    make_shop: Callable[[], Shop], topic: Topic
) -> None:
    shop = make_shop()
    assert await shop.pay(19_989_999)
    assert await shop.pay(5 * MICROS, 6 * MICROS, source=1)
    assert not topic.records
    assert await shop.pay(20_989_999, source=0)
    assert said(topic) == []
    assert await shop.pay(20_990_001, source=0)
    assert said(topic) == ["paid 19.99 19.990001"]
    for taken in (30, 31):  # it falls below, and rises again
        assert await shop.pay(20_990_001, taken * MICROS)
        assert await shop.pay((20 + taken) * MICROS, taken * MICROS)
    assert said(topic) == ["paid 19.99 19.990001"]
    assert await shop.pay(150 * MICROS, 31 * MICROS)
    assert said(topic) == ["paid 19.99 19.990001", "rich 100 118"]


async def test_what_is_taken_away_does_not_count_towards_a_threshold(
    make_shop: Callable[[], Shop], topic: Topic
) -> None:
    shop = make_shop()
    for euros in range(1, 60):
        await shop.pay(euros * MICROS, euros * MICROS)
    await shop.pay(200 * MICROS, label="usd")
    assert not topic.records
    await shop.pay(79 * MICROS, 59 * MICROS)
    assert said(topic) == ["paid 19.99 20"]


async def test_distinct_values_raise_an_alert_with_the_error_of_the_estimate(
    make_shop: Callable[[], Shop], topic: Topic
) -> None:
    shop = make_shop()
    assert await shop.buy("abcd")
    assert await shop.buy("abcd")
    assert not topic.records
    assert await shop.buy("de")
    assert said(topic) == ["crowd 5 5 0.0"]
    assert await shop.buy("fghij")
    assert await shop.buy("abcde", key="/b")
    assert said(topic)[1:] == ["crowd 5 5 0.0"]
    assert await shop.buy("f", key="/b")
    assert said(topic)[2:] == ["only_b 6 6 0.0"]
    assert await shop.buy((f"user {n}" for n in range(4000)), label="usd")
    assert await shop.buy((f"user {n}" for n in range(20_000)), label="usd")
    rule, threshold, users, error = said(topic)[3].split()
    assert (rule, threshold) == ("masses", "5000")
    assert abs(int(users) - 20_000) < 20_000 * 0.08
    assert 0 < float(error) < 0.04


async def test_sketches_that_come_again_raise_nothing(
    make_shop: Callable[[], Shop], topic: Topic
) -> None:
    shop = make_shop()
    await shop.buy("abcde")
    for table in (shop.uniques, shop.alerts):
        table.forget()  # killed before the flush: the batch is read again
    assert await shop.buy("abcde")
    assert await shop.buy("fg")
    assert said(topic) == ["crowd 5 5 0.0"]


async def test_sketches_whose_alert_is_not_sent_are_not_committed(
    make_shop: Callable[[], Shop], topic: Topic
) -> None:
    shop = make_shop()
    shop.owner = False
    assert not await shop.buy("abcde")
    assert await shop.pay(1 * MICROS), "another topic's batch is not held up, nor raises it"
    assert not topic.records
    shop.owner = True
    topic.fails = True
    with pytest.raises(TimeoutError):
        await shop.buy("abcde")
    topic.fails = False
    shop.alerts.forget()
    assert await shop.buy("abcde")
    assert said(topic) == ["crowd 5 5 0.0"]


async def test_rows_that_no_rule_asks_for_are_not_estimated(
    make_shop: Callable[[], Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, asked = make_shop(), list[bytes]()
    users_of = shop.uniques.users_of

    def note_row(partition: int, row: bytes) -> Any:
        asked.append(row)
        return users_of(partition, row)

    monkeypatch.setattr(shop.uniques, "users_of", note_row)
    await shop.buy("abcdef", label="gbp")
    await shop.buy("abcdef")
    for _ in range(5):
        await shop.buy("ghi")
    assert asked == [BUYERS.keys.row("/a", START, "eur")]
