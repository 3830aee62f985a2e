"""What is delivered when: the gate, the positions, a full queue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.app.transport.conftest import SOURCE, Delivery


async def test_nothing_is_delivered_before_the_first_seek(delivery: Delivery) -> None:
    await delivery.deliver(100, 110)
    assert not delivery.messages


async def test_nothing_is_delivered_between_seek_and_resume(delivery: Delivery) -> None:
    await delivery.consumer.perform_seek()
    await delivery.deliver(100, 110)
    assert not delivery.messages, "Faust empties the queues of all streams here"


async def test_a_batch_fetched_before_the_seek_is_not_delivered_after_it(
    delivery: Delivery,
) -> None:
    before = delivery.consumer.gate
    await delivery.open()
    await delivery.deliver(100, 110, gate=before)
    assert not delivery.messages


async def test_a_batch_is_delivered_after_seek_and_resume(delivery: Delivery) -> None:
    await delivery.open()
    assert delivery.consumer.newest_ms == 0
    await delivery.deliver(100, 110)
    assert delivery.delivered_to == [109]
    assert delivery.consumer.newest_ms == 1000


async def test_nothing_is_delivered_after_a_revocation(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    await delivery.consumer._finish()
    await delivery.deliver(110, 120)
    assert delivery.delivered_to == [109]


async def test_a_seek_overtaken_by_a_revocation_opens_nothing(delivery: Delivery) -> None:
    revoked = asyncio.Event()
    delivery.thread.before_seek = revoked.wait
    seek = asyncio.ensure_future(delivery.consumer.perform_seek())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    delivery.consumer._close()
    revoked.set()
    await seek
    delivery.consumer.resume_flow()
    assert not delivery.consumer.open_partitions()


async def test_gaps_of_compaction_and_markers_pass(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110, after=115)
    await delivery.deliver(115, 118)
    assert delivery.delivered_to == [109, 117]


async def test_a_hole_is_sought_again_and_not_delivered(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    await delivery.deliver(120, 130)
    assert delivery.delivered_to == [109]
    assert delivery.thread.seeks == [110]
    await delivery.deliver(110, 130)
    assert delivery.delivered_to == [109, 129]


async def test_a_batch_that_comes_twice_is_not_delivered(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.deliver(100, 110)
    await delivery.deliver(100, 110)
    assert delivery.delivered_to == [109]


async def test_a_hole_that_stays_stops_the_worker(delivery: Delivery) -> None:
    await delivery.open()
    for _ in range(delivery.consumer.max_misses + 1):
        await delivery.deliver(120, 130)
    assert not delivery.messages
    assert len(delivery.crashes) == 1


async def test_records_deleted_by_retention_are_passed_over_by_choice(delivery: Delivery) -> None:
    await delivery.open()
    delivery.thread.log_start = 150
    await delivery.deliver(150, 160)
    assert delivery.delivered_to == [159]
    delivery.consumer.skip_deleted = False
    delivery.thread.log_start = 200
    await delivery.deliver(200, 210)
    assert delivery.delivered_to == [159]
    assert delivery.crashes


@pytest.mark.parametrize("how", ["flow stopped", "cancelled", "failed"])
async def test_a_put_that_does_not_end_is_rolled_back(delivery: Delivery, how: str) -> None:
    await delivery.open()
    offered: list[Any] = []

    async def block(message: Any) -> None:
        offered.append(message)
        if how == "failed":
            raise ValueError
        await asyncio.Event().wait()

    delivery.consumer.callback = block
    putting = asyncio.ensure_future(delivery.deliver(100, 110))
    await asyncio.sleep(0.01)
    if how == "flow stopped":
        delivery.consumer.stop_flow()
    elif how == "cancelled":
        putting.cancel()
    ended = await asyncio.gather(putting, return_exceptions=True)
    expected = {
        "flow stopped": type(None),
        "cancelled": asyncio.CancelledError,
        "failed": ValueError,
    }
    assert isinstance(ended[0], expected[how])
    progress = (delivery.consumer._open or {})[SOURCE]
    assert (progress.next, len(progress.flying)) == (100, 0)
    generation = delivery.consumer.app.consumer_generation_id
    assert [m.generation_id == generation for m in offered] == [False], "no stream takes it"
