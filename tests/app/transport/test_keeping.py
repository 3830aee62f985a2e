"""Partitions that a worker keeps through a rebalance: it answers before it reads them again."""

from __future__ import annotations

from typing import Any

import pytest

from app.transport.ownership import Ownership
from tests.app.transport.conftest import SOURCE, Delivery

KEPT = {SOURCE}


async def begin(delivery: Delivery) -> None:
    """Assign, open, deliver and acknowledge a batch."""
    await delivery.assign()
    await delivery.open()
    await delivery.deliver(100, 110)
    delivery.acknowledge(0)
    assert set(delivery.consumer.answering()) == KEPT


async def test_what_stays_is_answered_for_from_its_assignment_on(delivery: Delivery) -> None:
    consumer = delivery.consumer
    await begin(delivery)
    await delivery.revoke()
    assert not consumer.answering(), "somebody else may have it by now"
    await delivery.assign()
    assert (set(consumer.answering()), set(consumer.open_partitions())) == (KEPT, set())
    await consumer.perform_seek()
    assert (set(consumer.answering()), set(consumer.open_partitions())) == (KEPT, set())
    consumer.resume_flow()
    assert (set(consumer.answering()), set(consumer.open_partitions())) == (KEPT, KEPT)


async def test_who_has_none_is_known_outside_of_a_rebalance_alone(delivery: Delivery) -> None:
    app = delivery.consumer.app
    reader, other = (Ownership(app, topic, "t", 1) for topic in (SOURCE.topic, "other"))
    assert not other.has_none(), "nothing is assigned yet"
    await begin(delivery)
    assert (reader.has_none(), other.has_none()) == (False, True)
    await delivery.revoke()
    assert not other.has_none()
    await delivery.assign()
    await delivery.consumer.perform_seek()
    assert not other.has_none()
    delivery.consumer.resume_flow()
    assert (reader.has_none(), other.has_none()) == (False, True)


async def test_another_rebalance_before_it_opened_changes_nothing(delivery: Delivery) -> None:
    await begin(delivery)
    for _ in range(3):
        await delivery.revoke()
        assert not delivery.consumer.answering()
        await delivery.assign()
        assert set(delivery.consumer.answering()) == KEPT


@pytest.mark.parametrize("generations", [0, 2])
async def test_what_somebody_else_may_have_had_is_not_kept(
    delivery: Delivery, generations: int
) -> None:
    await begin(delivery)
    await delivery.revoke()
    await delivery.assign(generations=generations)
    assert not delivery.consumer.answering()
    await delivery.revoke()
    await delivery.assign()
    assert not delivery.consumer.answering(), "it has not been ours since"


async def test_what_went_and_came_back_is_not_kept(delivery: Delivery) -> None:
    await begin(delivery)
    await delivery.revoke()
    delivery.thread.group_generation += 1
    await delivery.consumer.on_partitions_assigned(set())
    await delivery.revoke()
    await delivery.assign()
    assert not delivery.consumer.answering()


async def test_what_is_not_committed_in_full_is_not_kept(delivery: Delivery) -> None:
    """The tables may have shown more than they do once it is read again."""
    await begin(delivery)
    await delivery.deliver(110, 120)
    delivery.take(1)
    delivery.consumer.finish_timeout = 0.05
    await delivery.revoke()
    assert delivery.thread.commits == [110]
    await delivery.assign()
    assert not delivery.consumer.answering()


async def test_what_no_commit_was_possible_of_is_not_kept(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(delivery)

    async def fails(_offsets: dict[Any, int]) -> bool:
        return False

    monkeypatch.setattr(delivery.thread, "commit", fails)
    await delivery.revoke()
    await delivery.assign()
    assert not delivery.consumer.answering()


async def test_what_may_not_be_read_is_not_answered_for(delivery: Delivery) -> None:
    await begin(delivery)
    await delivery.revoke()
    await delivery.assign()
    delivery.consumer.refused = "its changelog is gone"
    assert not delivery.consumer.answering()
