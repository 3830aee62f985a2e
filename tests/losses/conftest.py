"""A Kafka that can be lost, for a test of its own."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.losing_kafka import LosingKafka


@pytest.fixture
def rng() -> random.Random:
    """Return what decides when and where: by KILL_SEED, else another one in each run."""
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
    logging.getLogger(__name__).warning("KILL_SEED=%d", seed)  # a failure shows it
    return random.Random(seed)


@pytest.fixture
async def losing_kafka(tmp_path: Path) -> AsyncIterator[LosingKafka]:
    """Yield a Kafka of this test's own."""
    kafka = LosingKafka(tmp_path)
    await kafka.start()
    yield kafka
    await kafka.stop()
