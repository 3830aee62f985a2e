"""A rebalance in the middle of a recovery, and a recovery that stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from app.settings import Settings
from app.transport.unending import UnendingRecovery
from app.wiring.faust_app import batch_app
from tests.app.transport.conftest import SOURCE, Delivery


async def test_nothing_flows_from_a_revocation_to_the_next_recovery(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.revoke()
    delivery.consumer.resume_flow()  # by a recovery that does not know of it yet
    assert not delivery.consumer.flow_active
    await delivery.assign()
    await delivery.open()
    assert delivery.consumer.flow_active


async def test_nothing_flows_either_where_nothing_was_assigned(delivery: Delivery) -> None:
    await delivery.open()
    await delivery.consumer.on_partitions_revoked(set())
    assert not delivery.consumer.flow_active


@pytest.fixture
async def recovery(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> UnendingRecovery:
    """Return a recovery that has ten rows to read, and looks often."""
    monkeypatch.setattr("app.transport.unending.LOOK_S", 0.01)
    made = batch_app(settings, "g", {SOURCE.topic}, set()).tables.recovery
    assert isinstance(made, UnendingRecovery)
    made.in_recovery, made.still_s = True, 0.2
    made.active_highwaters, made.active_offsets = Counter({SOURCE: 10}), Counter({SOURCE: 0})
    return made


async def watched(recovery: UnendingRecovery, seconds: float) -> None:
    """Watch it for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await UnendingRecovery._watch_progress.fun(recovery)


async def test_a_recovery_that_reads_nothing_ends_the_worker(recovery: UnendingRecovery) -> None:
    with pytest.raises(RuntimeError, match=r"no row was recovered .*; 10 are left"):
        await watched(recovery, 10)


async def test_a_recovery_that_comes_nearer_goes_on(recovery: UnendingRecovery) -> None:
    async def read() -> None:
        for _ in range(10):
            await asyncio.sleep(0.05)
            recovery.active_offsets[SOURCE] += 1

    reading = asyncio.ensure_future(read())
    await watched(recovery, 0.5)
    await reading


async def test_a_recovery_waits_for_a_kafka_that_is_not_well(recovery: UnendingRecovery) -> None:
    async def diagnose() -> str:
        return "Kafka is away"

    hooks: Any = recovery.app.transport.hooks
    hooks.diagnose = diagnose
    await watched(recovery, 0.8)
