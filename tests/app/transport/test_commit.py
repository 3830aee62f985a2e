"""What may be committed when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.lasting import HopelessError
from app.transport import PositionError
from tests.app.transport.conftest import SOURCE, Delivery


class Changelog:
    """A table whose changelog does not take its records."""

    async def before_commit(self) -> None:
        raise RuntimeError("not acknowledged")


async def test_the_end_of_the_acknowledged_prefix_is_committed(delivery: Delivery) -> None:
    await delivery.open()
    for first in (100, 110, 120):
        await delivery.deliver(first, first + 10)
    delivery.take(0)
    delivery.acknowledge(1)
    assert not await delivery.consumer.commit(), "the first is still being worked on"
    delivery.acknowledge(0)
    await delivery.consumer.commit()
    delivery.acknowledge(2)
    await delivery.consumer.commit()
    assert delivery.thread.commits == [120, 130]


async def test_a_fetch_of_markers_alone_moves_the_commit(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    await delivery.deliver(110, 110, after=113)
    delivery.acknowledge(0)
    await delivery.consumer.commit()
    assert delivery.thread.commits == [113]


async def test_what_is_committed_is_not_committed_again(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    await delivery.consumer.commit()
    assert not await delivery.consumer.commit()


async def test_a_batch_that_its_stream_skipped_is_not_committed(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.messages[0].refcount = 1
    delivery.messages[0].ack(delivery.consumer)
    assert delivery.messages[0].acked
    assert not await delivery.consumer.commit()


async def test_a_batch_lost_before_its_stream_stops_all_commits(delivery: Delivery) -> None:
    await delivery.open()
    for first in (100, 110):
        await delivery.deliver(first, first + 10)
    delivery.acknowledge(1)
    with pytest.raises(PositionError):
        await delivery.consumer.commit()
    assert not await delivery.consumer.commit()


async def test_an_acknowledgement_of_an_older_generation_does_not_count(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.take(0)
    await delivery.open()
    delivery.acknowledge(0)
    assert not await delivery.consumer.commit()


async def test_an_error_in_an_agent_stops_all_commits(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    await delivery.consumer.on_task_error(RuntimeError())
    assert delivery.crashes
    assert not await delivery.consumer.commit()


async def test_a_changelog_that_fails_stops_all_commits(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    tables = delivery.consumer.app.tables.data
    tables["broken"] = Changelog()
    with pytest.raises(RuntimeError):
        await delivery.consumer.commit()
    del tables["broken"]
    assert delivery.crashes
    assert not await delivery.consumer.commit()
    assert not delivery.thread.commits


async def test_a_revocation_waits_for_the_running_batch_and_commits_it(delivery: Delivery) -> None:
    await delivery.open()
    for index, first in enumerate((100, 110)):
        await delivery.deliver(first, first + 10)
        delivery.take(index)
    asyncio.get_running_loop().call_later(0.05, delivery.acknowledge, 0)
    delivery.consumer.finish_timeout = 0.3
    await delivery.consumer._finish()  # the second batch never ends
    assert delivery.thread.commits == [110]
    delivery.acknowledge(1)
    assert not await delivery.consumer.commit()


class Moving:
    """A table of which partitions are taken away while it waits for Kafka."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    async def before_commit(self) -> None:
        self._delivery.consumer._close()


async def test_what_waits_for_tables_while_partitions_move_is_not_committed(
    delivery: Delivery,
) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    delivery.consumer.app.tables.data["moving"] = Moving(delivery)
    assert not await delivery.consumer.commit()
    assert (delivery.thread.commits, delivery.crashes) == ([], [])


class Waiting:
    """A table whose changelog is slow once, at one of its commits."""

    def __init__(self, slow_call: int) -> None:
        self.calls, self._slow_call = 0, slow_call
        self.reached, self.acknowledged = asyncio.Event(), asyncio.Event()

    async def before_commit(self) -> None:
        self.calls += 1
        if self.calls == self._slow_call:
            self.reached.set()
            await self.acknowledged.wait()


async def commit_slowly(delivery: Delivery, table: Waiting) -> asyncio.Task[bool]:
    """Begin a commit to 110, as the timer does, that waits for a table."""
    delivery.consumer.app.tables.data["last"] = table
    delivery.consumer.finish_timeout = 0.05
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    committing = asyncio.create_task(delivery.consumer.commit())
    await table.reached.wait()
    return committing


async def test_a_commit_that_is_given_up_commits_nothing_after_partitions_moved(
    delivery: Delivery,
) -> None:
    """It waits for another, which goes on: it neither ends that nor begins one of its own."""
    consumer, first, last = delivery.consumer, Waiting(slow_call=2), Waiting(slow_call=1)
    consumer.app.tables.data["first"] = first
    committing = await commit_slowly(delivery, last)
    await delivery.deliver(110, 120)
    delivery.acknowledge(1)
    await delivery.revoke()
    last.acknowledged.set()
    assert not await committing
    await delivery.assign()
    await delivery.open()
    await consumer.commit()
    first.acknowledged.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (delivery.thread.commits, first.calls) == ([], 1)
    await delivery.deliver(100, 120)
    delivery.acknowledge(2)
    assert await consumer.commit()
    assert delivery.thread.commits == [120]


async def test_neither_a_revocation_nor_a_stop_waits_for_a_commit_in_flight(
    delivery: Delivery,
) -> None:
    table = Waiting(slow_call=1)
    committing = await commit_slowly(delivery, table)
    await delivery.revoke()
    async with asyncio.timeout(10):
        await delivery.consumer.wait_empty()  # as Faust's app does at both
    assert not committing.done()
    table.acknowledged.set()
    assert not await committing
    assert not delivery.thread.commits


async def test_what_waits_for_the_producer_while_partitions_move_is_not_committed(
    delivery: Delivery,
) -> None:
    """And the same position can be committed in the next generation."""
    consumer, flushing, flushed = delivery.consumer, asyncio.Event(), asyncio.Event()

    async def flush() -> None:
        flushing.set()
        await flushed.wait()

    consumer.app.producer.flush, consumer.finish_timeout = flush, 0.05
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    committing = asyncio.create_task(consumer.commit())
    await flushing.wait()
    await delivery.revoke()
    await delivery.assign()
    await delivery.open()
    flushed.set()
    assert not await committing
    assert (delivery.thread.commits, consumer.committed_to(SOURCE)) == ([], 100)
    await delivery.deliver(100, 110)
    delivery.acknowledge(1)
    assert await consumer.commit()
    assert delivery.thread.commits == [110]


class Silent:
    """A table that Kafka never acknowledges."""

    async def before_commit(self) -> None:
        await asyncio.Event().wait()


async def take_silent(delivery: Delivery, diagnose: Callable[[], Awaitable[str]]) -> None:
    """Deliver a batch whose commit waits for such a table."""
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    delivery.consumer.app.tables.data["silent"] = Silent()
    delivery.consumer.commit_slow_s = 0.01
    delivery.consumer.hooks.diagnose = diagnose


async def test_a_commit_to_a_topic_that_is_gone_stops_the_worker_at_once(
    delivery: Delivery,
) -> None:
    async def diagnose() -> str:
        raise HopelessError("it is gone")

    await take_silent(delivery, diagnose)
    assert not await delivery.consumer.commit()
    assert str(delivery.crashes[0]) == "it is gone"
    del delivery.consumer.app.tables.data["silent"]
    assert not delivery.thread.commits


@pytest.mark.parametrize("problem", ["", "events-0 has no leader"])
async def test_a_commit_that_does_not_end_stops_the_worker_only_where_kafka_is_well(
    delivery: Delivery, problem: str
) -> None:
    looks = asyncio.Semaphore(0)

    async def diagnose() -> str:
        looks.release()
        return problem

    await take_silent(delivery, diagnose)
    committing = asyncio.create_task(delivery.consumer.commit())
    for _ in range(2 * delivery.consumer.hopeless if problem else delivery.consumer.hopeless):
        await looks.acquire()
    if problem:
        assert problem in delivery.consumer.hanging
        assert not delivery.crashes
        committing.cancel()
        await asyncio.wait([committing])
    else:
        assert not await committing
        assert isinstance(delivery.crashes[0], TimeoutError)
    del delivery.consumer.app.tables.data["silent"]
    assert delivery.consumer.hanging == ""
    assert not delivery.thread.commits
