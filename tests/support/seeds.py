"""The seed of a test that breaks things at random moments."""

from __future__ import annotations

import os
import random


def kill_seed() -> int:
    """Return KILL_SEED, else another one in each run; a failure has to show it."""
    return int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
