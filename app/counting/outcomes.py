"""What became of the records of a partition of `events`: the sum that must always come out.

A row of the partials, beside those of the counters, holds all four numbers and the offset that they
reach to. So whoever reads it, whenever, reads numbers of one position: received = counted + bots +
rejected.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from app.counting.spec import Cells
from app.events.batches import Judged

OUTCOMES = ("received", "counted", "bots", "rejected")  # by slot; never in another order


def outcomes(received: Sequence[int], judged: Judged, rejected: Sequence[int]) -> Cells:
    """Return {slot: records}; each number is found on its own.

    received, rejected: offsets of all records, and of those that are no events.
    """
    counts = len(received), len(judged.human.events), len(judged.bot.events), len(rejected)
    return dict(enumerate(counts))


def offsets_between(offsets: Sequence[int], begin: int, end: int) -> Sequence[int]:
    """Return the offsets of (begin, end]; they come in their order."""
    return offsets[bisect_right(offsets, begin) : bisect_right(offsets, end)]
