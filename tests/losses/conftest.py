"""A Kafka that can be lost, for a test of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kill.conftest import rng, seed, tally  # noqa: F401 - fixtures
from tests.support.losing_kafka import LosingKafka


@pytest.fixture
async def losing_kafka(tmp_path: Path) -> AsyncIterator[LosingKafka]:
    """Yield a Kafka of this test's own."""
    kafka = LosingKafka(tmp_path)
    await kafka.start()
    yield kafka
    assert not (why := kafka.ended_with()), why  # else what waited for it fails without a reason
    await kafka.stop()
