"""Each process of a run draws ports of its own.

A server that a test has killed leaves its port free for a moment, and no other test may take it.
"""

from __future__ import annotations

import os

from app.stack import ports


def use() -> None:
    """Leave this process its share of all ports."""
    runs = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = (ports.LAST - ports.FIRST) // runs
    ports.FIRST += number * share
    ports.LAST = ports.FIRST + share - 1
