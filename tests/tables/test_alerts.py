"""The table of alerts: each once, in the topic before it is remembered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import faust
import msgspec
import pytest
from faust.types import TP

from app.alerting.alerts import Rule
from app.counting.counters import Counters
from app.counting.row_keys import SOURCE
from app.kafka.sure_topic import Owner, SureRecord
from tables.alerts import Alerts
from tables.scans import scan_prefix
from tables.totals import Totals

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
RULES = [
    Rule("views", "page_views_by_page_hourly", "", 5, 3600),
    Rule("many", "page_views_by_page_hourly", "", 9, 3600),
]
GATE = 7


class Topic:
    """Stands where the topic does.

    fails: the next send is not acknowledged. was_away: Kafka was, after the first attempt.
    """

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, bytes]] = []
        self.fails = self.was_away = False

    async def send(
        self, partition: int, records: list[SureRecord], _at_ms: int, owner: Owner
    ) -> bool:
        if self.fails:
            raise TimeoutError
        if self.was_away and not await owner():
            return False
        self.records += [(partition, key, value) for key, value, _ in records]
        return True

    async def close(self) -> None:
        pass

    @property
    def raised(self) -> Counter[tuple[str, str]]:
        alerts = [json.loads(value) for _, _, value in self.records]
        return Counter((alert["rule"], alert["key"]) for alert in alerts)


@pytest.fixture
def topic() -> Topic:
    return Topic()


def make_alerts(
    app: faust.App,
    rules: Sequence[Rule],
    counters: Counters,
    topic: Topic,
    is_owner: Callable[[], bool],
) -> Alerts:
    """Return the table; is_owner: whether the partitions are still ours."""

    async def is_member(gate: int) -> bool:
        assert gate == GATE
        return is_owner()

    alerts: Alerts = Alerts.create(
        app,
        "alerts",
        4,
        "",
        rules=rules,
        counters=counters,
        topic=topic,
        topic_name="alerts",
        is_member=is_member,
    )
    return alerts


class Pair:
    """Totals, and the alerts that watch them.

    said: whether the partitions are still ours, for each time that it is asked; then they are.
    """

    def __init__(self, app: faust.App, counters: Counters, topic: Topic) -> None:
        self.said: list[bool] = []
        self._counters = counters
        self.totals: Totals = Totals.create(app, "totals", 4, "", counters=counters)

        self.alerts = make_alerts(
            app, RULES, counters, topic, lambda: not self.said or self.said.pop(0)
        )
        self.totals.watch_with(self.alerts)
        self.partition = self.totals.partition_of("/a")

    async def merge(self, source: int, count: int, **ago: int) -> bool:
        """Merge how many views of /a a source partition has seen in an hour."""
        spec = self._counters["page_views_by_page_hourly"]
        start, slot = spec.place(int((NOW - timedelta(**ago)).timestamp()))
        key = spec.keys.row("/a", start, "") + SOURCE.pack(source)
        record = SimpleNamespace(key=key, value=msgspec.msgpack.encode((9, {slot: count})))
        await self.totals.merge(self.partition, [record], 1)
        return await self.alerts.raise_due(self.partition, GATE)

    def recover(self, *records: tuple[bytes | None, bytes | None]) -> None:
        """Read records of the topic, as the recovery does."""
        tp = TP("alerts", self.partition)
        at = {"topic": "alerts", "partition": self.partition, "offset": 0}
        rows = [SimpleNamespace(key=key, value=value, **at) for key, value in records]
        body = SimpleNamespace(tp=tp, partition=self.partition, offset=len(rows), value=rows)
        self.alerts.apply_changelog_batch([SimpleNamespace(message=body)])


@pytest.fixture
def make_pair(
    make_app: Callable[[], faust.App], counters: Counters, topic: Topic
) -> Callable[[], Pair]:
    return lambda: Pair(make_app(), counters, topic)


def test_its_changelog_is_the_public_topic(make_pair: Callable[[], Pair]) -> None:
    assert make_pair().alerts.changelog_topic_name == "alerts"


async def test_an_alert_comes_when_all_sources_together_reach_the_threshold(
    make_pair: Callable[[], Pair], topic: Topic
) -> None:
    pair = make_pair()
    assert await pair.merge(0, 2)
    assert await pair.merge(1, 2)
    assert not topic.records
    assert await pair.merge(3, 1)
    assert topic.raised == {("views", "/a"): 1}
    ((partition, _, value),) = topic.records
    assert partition == pair.partition
    assert json.loads(value)["count"] == 5
    for count in range(2, 40):
        await pair.merge(3, count)
    assert topic.raised == {("views", "/a"): 1, ("many", "/a"): 1}


async def test_each_window_has_its_alert_but_those_that_are_over(
    make_pair: Callable[[], Pair], topic: Topic
) -> None:
    pair = make_pair()
    for hours in (0, 1, 23, 25, 100, 1000):
        await pair.merge(0, 5, hours=hours)
    assert topic.raised == {("views", "/a"): 3}


async def test_a_batch_that_comes_again_raises_nothing(
    make_pair: Callable[[], Pair], topic: Topic
) -> None:
    pair = make_pair()
    await pair.merge(0, 9)
    for table in (pair.totals, pair.alerts):
        table.forget()
    await pair.merge(0, 9)
    await pair.merge(0, 12)
    assert topic.raised == {("views", "/a"): 1, ("many", "/a"): 1}


async def test_one_that_only_the_topic_knows_is_not_raised_again(
    make_pair: Callable[[], Pair], topic: Topic
) -> None:
    pair = make_pair()
    await pair.merge(0, 5)
    ((_, place, value),) = topic.records
    pair.alerts.db(pair.partition).delete(place)  # killed before RocksDB had it
    pair.alerts.forget()
    pair.recover((place, value), (None, b"junk"), (b"junk", None), (b"\xff", b"\xff"))
    await pair.merge(0, 6)
    assert topic.raised == {("views", "/a"): 1}


async def test_what_was_not_acknowledged_is_not_remembered(
    make_pair: Callable[[], Pair], topic: Topic
) -> None:
    pair = make_pair()
    topic.fails = True
    with pytest.raises(TimeoutError):
        await pair.merge(0, 5)
    topic.fails = False
    pair.alerts.forget()
    assert await pair.merge(0, 5)
    assert topic.raised == {("views", "/a"): 1}


@pytest.mark.parametrize("said", [[False], [True, False]])
async def test_who_was_replaced_raises_nothing_and_may_not_commit(
    make_pair: Callable[[], Pair], topic: Topic, said: list[bool]
) -> None:
    pair = make_pair()
    pair.said, topic.was_away = said, True
    assert not await pair.merge(0, 5)
    assert not topic.records
    # It was only the coordinator that did not answer; the batch comes again.
    assert await pair.merge(0, 5)
    assert topic.raised == {("views", "/a"): 1}


async def test_what_cannot_come_again_leaves_the_table_and_not_the_topic(
    make_pair: Callable[[], Pair], topic: Topic
) -> None:
    pair = make_pair()
    await pair.merge(0, 5)
    db = pair.alerts.db(pair.partition)
    old = b"2015-05-17T10:00:00Z/views//a"
    db.put(old, b"{}")
    assert await pair.alerts.expire([pair.partition]) == 1
    pair.recover((old, topic.records[0][2]))
    assert [key for key, _ in scan_prefix(db, b"20")] == [key for _, key, _ in topic.records]


def test_looking_at_rows_costs_little(
    make_pair: Callable[[], Pair], counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that can raise nothing are not even parsed."""
    pair, spec = make_pair(), counters["page_views_by_page_hourly"]
    start, _ = spec.place(int(NOW.timestamp()))
    rows = {spec.keys.row(f"/{n}", start, ""): {n % 24: 4} for n in range(100)}
    evaluate, looks = pair.alerts.evaluate, []

    def note_row(partition: int, row: bytes, cells: dict[int, int], now: float) -> int:
        looks.append(row)
        return evaluate(partition, row, cells, now)

    monkeypatch.setattr(pair.alerts, "evaluate", note_row)
    pair.alerts.note(pair.partition, rows, 1)
    assert not looks
    for cells in rows.values():
        cells[300] = 6
    for _ in range(10):
        pair.alerts.note(pair.partition, rows, 1)
    assert sorted(looks) == sorted(rows)
