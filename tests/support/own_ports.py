"""Each process of a run draws ports of its own, below those that the commands it starts draw.

A server that a test has killed leaves its port free for a moment, and no other test may take it;
nor may a copy take a port that a test has drawn and that nobody listens on yet.
"""

from __future__ import annotations

import os

from app.stack import ports

FIRST, LAST = 4_000, 11_999
# Browsers and Node do not connect to these: fetch.spec.whatwg.org, "bad port".
BAD = {4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}


def use() -> None:
    """Leave this process its share of all ports."""
    runs = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = (LAST - FIRST + 1) // runs
    ports.FIRST = FIRST + number * share
    ports.LAST = ports.FIRST + share - 1
    drawn = ports._drawn

    def good() -> int:
        while (port := drawn()) in BAD:
            pass
        return port

    ports._drawn = good
