"""Where log, committed offset and table do not fit together."""

from __future__ import annotations

from typing import Any

import pytest
from faust.types import TP

from app.lasting import HopelessError
from tests.app.transport.conftest import COMMITTED, SOURCE, Delivery
from tests.support.waiting import wait_until


async def test_a_log_that_ends_before_the_position_is_filled_up_at_the_seek(
    delivery: Delivery,
) -> None:
    filled: list[tuple[Any, int]] = []

    async def fill_up(tp: Any, position: int) -> None:
        filled.append((tp, position))

    delivery.consumer.hooks.fill_up = fill_up
    delivery.thread.log_end = COMMITTED - 30
    await delivery.open()
    assert filled == [(SOURCE, COMMITTED)]


async def test_the_table_says_how_long_the_log_must_be_where_it_knows_more(
    delivery: Delivery,
) -> None:
    filled: list[int] = []

    async def fill_up(_tp: Any, position: int) -> None:
        filled.append(position)

    delivery.consumer.hooks.fill_up = fill_up
    delivery.consumer.hooks.table_position[SOURCE.topic] = lambda _: COMMITTED + 5
    for log_end in (COMMITTED + 1, COMMITTED + 9):  # padded by others for less, perhaps
        delivery.thread.log_end = log_end
        await delivery.open()
    assert filled == [COMMITTED + 5, COMMITTED + 5]
    assert delivery.consumer.started_at == {SOURCE: COMMITTED}


async def test_a_position_beyond_the_end_is_filled_up_and_read_on_from(
    delivery: Delivery,
) -> None:
    async def fill_up(_tp: Any, position: int) -> None:
        delivery.thread.log_end = position

    delivery.consumer.hooks.fill_up = fill_up
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.take(0)
    delivery.thread.log_end = 104
    for _ in range(2 * delivery.consumer.max_misses):  # aiokafka begins at the begin of the log
        delivery.thread.log_end = 104
        await delivery.deliver(0, 50)
    assert delivery.thread.seeks[-1] == 110
    assert not delivery.crashes
    await delivery.deliver(110, 120)
    assert delivery.delivered_to == [109, 119]


async def test_a_table_that_lacks_what_was_committed_is_made_from_the_log_again(
    delivery: Delivery,
) -> None:
    positions = iter((None, 40))
    delivery.consumer.hooks.table_position[SOURCE.topic] = lambda _: next(positions)
    for start in (0, 40):
        await delivery.open()
        assert delivery.consumer.started_at == {SOURCE: start}
        assert delivery.thread.seeks[-1] == start
    assert delivery.consumer.is_flowing()


async def test_a_table_that_is_gone_is_not_answered_from_where_kafka_has_no_records_of_it(
    delivery: Delivery,
) -> None:
    delivery.consumer.hooks.table_position[SOURCE.topic] = lambda _: None
    delivery.thread.log_start = 20
    await delivery.open()
    assert not delivery.consumer.is_flowing()
    assert "event-counter rebuild tables" in delivery.consumer.refused
    await delivery.deliver(100, 110)
    assert delivery.delivered_to == []


class Positions:
    """The rows of a table that say how far it is; lost: the ranges that it was told of."""

    def __init__(self, delivery: Delivery, **rows: int) -> None:
        self.rows, self.lost = {SOURCE.partition: rows.get("row")}, list[tuple[int, int]]()
        self._thread = delivery.thread
        hooks = delivery.consumer.hooks
        hooks.table_position[SOURCE.topic] = self.rows.get
        hooks.keep_position[SOURCE.topic] = self._keep
        hooks.lose[SOURCE.topic] = lambda _partition, *lost: self.lost.append(lost)

    async def _keep(self, partition: int, position: int) -> None:
        assert position not in self._thread.commits
        self.rows[partition] = position


@pytest.mark.parametrize("log_end", [57, 60])
async def test_a_partition_that_nobody_sends_to_is_read_from_where_it_begins_at_each_start(
    delivery: Delivery, log_end: int
) -> None:
    table = Positions(delivery)
    delivery.thread.committed = None
    delivery.thread.log_start, delivery.thread.log_end = 57, log_end
    await delivery.open()
    await delivery.deliver(57, 57, after=log_end)  # what is there are markers
    await delivery.consumer.commit()
    assert delivery.thread.commits == [log_end]
    assert table.rows == {SOURCE.partition: log_end}
    delivery.thread.committed = delivery.thread.log_start = log_end
    await delivery.open()
    assert (delivery.consumer.is_flowing(), delivery.consumer.refused) == (True, "")
    assert table.lost == []


async def test_no_row_says_a_position_once_partitions_moved(delivery: Delivery) -> None:
    """It would be one of the next generation, in the middle of its recovery."""
    kept = list[int]()

    async def keep(partition: int, _position: int) -> None:
        kept.append(partition)
        await delivery.revoke()

    delivery.consumer.hooks.keep_position[SOURCE.topic] = keep
    await delivery.consumer.keep_positions({SOURCE: 110, TP(SOURCE.topic, 1): 110})
    assert kept == [SOURCE.partition]


@pytest.mark.parametrize(
    ("log_start", "begins", "lost"),
    [(20, 40, []), (40, 40, []), (70, 70, [(40, 70)]), (150, 150, [(40, 150)])],
)
async def test_what_a_table_lacks_and_the_log_has_no_more_is_lost(
    delivery: Delivery, log_start: int, begins: int, lost: list[tuple[int, int]]
) -> None:
    table, told = Positions(delivery, row=40), list[int]()
    delivery.consumer.hooks.on_lost = lambda _tp, count: told.append(count)
    delivery.thread.log_start = log_start
    for _ in range(2):  # the second time nothing is told that was
        await delivery.open()
    assert delivery.consumer.started_at == {SOURCE: begins}
    assert delivery.consumer.is_flowing()
    assert set(table.lost) == set(lost)
    assert told == [end - begin for begin, end in lost]


@pytest.mark.parametrize(
    ("stored", "log_start", "begins", "lost"),
    [
        (None, 0, COMMITTED, []),
        ((COMMITTED + 5, True), 0, COMMITTED, []),
        ((40, True), 0, 40, []),
        ((40, True), 70, 70, [30]),
        ((40, False), 70, 70, []),
        ((40, True), COMMITTED + 20, COMMITTED, [60]),
    ],
)
async def test_what_is_stored_of_a_partition_may_end_before_what_was_committed(
    delivery: Delivery,
    stored: tuple[int, bool] | None,
    log_start: int,
    begins: int,
    lost: list[int],
) -> None:
    told: list[int] = []

    async def stored_to(tp: Any) -> tuple[int, bool] | None:
        assert tp == SOURCE
        return stored

    delivery.consumer.hooks.stored_to = stored_to
    delivery.consumer.hooks.on_lost = lambda _tp, count: told.append(count)
    delivery.thread.log_start = log_start
    await delivery.open()
    assert (delivery.consumer.started_at, told) == ({SOURCE: begins}, lost)


CHANGELOG = TP("t-partials-changelog", SOURCE.partition)


async def test_nothing_is_delivered_while_the_changelog_of_a_table_is_not_assigned(
    delivery: Delivery,
) -> None:
    delivery.consumer.hooks.changelogs_of = lambda topic: {CHANGELOG.topic} & {f"t-{topic}", ""}
    await delivery.open()
    assert delivery.consumer.is_flowing(), "of another topic"
    delivery.consumer.hooks.changelogs_of = lambda _: {CHANGELOG.topic}
    delivery.consumer.look_s = 0
    for _ in range(2):
        await delivery.open()
        assert not delivery.consumer.is_flowing()
        assert CHANGELOG.topic in delivery.consumer.refused
        await delivery.thread.rejoins.acquire()
    delivery.thread.assigned = {SOURCE, CHANGELOG}
    await delivery.open()
    assert (delivery.consumer.is_flowing(), delivery.consumer.refused) == (True, "")
    assert not delivery.crashes


async def test_an_assignment_that_came_meanwhile_is_not_asked_for(delivery: Delivery) -> None:
    consumer = delivery.consumer
    consumer.hooks.changelogs_of = lambda _: {CHANGELOG.topic}
    consumer.look_s = 0
    assert await consumer.lacks_changelogs({SOURCE})
    delivery.thread.assigned = {SOURCE, CHANGELOG}
    assert consumer._rejoining is not None
    await consumer._rejoining
    assert delivery.thread.rejoins.locked()


async def test_a_changelog_that_is_gone_ends_the_worker(delivery: Delivery) -> None:
    async def diagnose() -> str:
        raise HopelessError("it is gone")

    delivery.consumer.hooks.changelogs_of = lambda _: {CHANGELOG.topic}
    delivery.consumer.hooks.diagnose = diagnose
    await delivery.open()
    assert not delivery.consumer.is_flowing()
    assert str(delivery.crashes[0]) == "it is gone"


async def test_a_changelog_that_is_gone_ends_a_worker_that_cannot_recover(
    delivery: Delivery,
) -> None:
    async def diagnose() -> str:
        raise HopelessError("it is gone")

    delivery.consumer.hooks.changelogs_of = lambda _: {CHANGELOG.topic}
    delivery.consumer.hooks.diagnose = diagnose
    await delivery.assign()
    await wait_until(lambda: [str(exc) for exc in delivery.crashes], ["it is gone"])


async def test_records_deleted_unread_are_counted_at_once_and_only_once(
    delivery: Delivery,
) -> None:
    lost: list[int] = []
    delivery.consumer.hooks.on_lost = lambda _, count: lost.append(count)
    await delivery.open()
    delivery.thread.log_start = 150
    for _ in range(2):  # nobody sends anything
        await delivery.consumer.look_at_edges(
            {tp: progress.next for tp, progress in (delivery.consumer._open or {}).items()}
        )
    assert lost == [50]
    delivery.thread.log_start = 170
    await delivery.deliver(170, 180)
    assert lost == [50, 20]
    assert delivery.messages[0].value[0].offset == 170
    assert delivery.messages[0].value.lost == 70
