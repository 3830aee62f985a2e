"""What the kill tests did to the workers, at the end of a run."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from tests.support.crew import Tally

TALLY = "tally"  # the user property of a test that holds its own


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was done to the workers."""
    reports = itertools.chain.from_iterable(terminalreporter.stats.values())
    ends = [report for report in reports if getattr(report, "when", "") == "teardown"]
    tallies = [
        Tally.of(value) for end in ends for name, value in end.user_properties if name == TALLY
    ]
    if not tallies:
        return
    terminalreporter.section("killed")
    for tally in tallies:
        terminalreporter.write_line(str(tally))
        for surprise, times in Counter(tally.surprises).items():
            terminalreporter.write_line(f"  {times} x {surprise}")
    total = Tally("all", tallies[0].seed if len(tallies) == 1 else 0)
    for name in ("kills", "wipes", "freezes", "leaves", "outages", "events"):
        setattr(total, name, sum(getattr(tally, name) for tally in tallies))
    total.exact = all(tally.exact for tally in tallies)
    terminalreporter.write_line(str(total).partition(" (KILL_SEED")[0])
