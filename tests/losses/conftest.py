"""A Kafka that can be lost, for a test of its own."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.losing_kafka import LosingKafka
from tests.support.seeds import kill_seed


@pytest.fixture
def rng() -> random.Random:
    """Return what decides when and where: by KILL_SEED, else another one in each run."""
    seed = kill_seed()
    logging.getLogger(__name__).warning("KILL_SEED=%d", seed)  # a failure shows it
    return random.Random(seed)


@pytest.fixture
async def losing_kafka(tmp_path: Path) -> AsyncIterator[LosingKafka]:
    """Yield a Kafka of this test's own."""
    kafka = LosingKafka(tmp_path)
    await kafka.start()
    yield kafka
    await kafka.stop()
