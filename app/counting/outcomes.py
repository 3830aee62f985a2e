"""What became of the records of a partition of `events`: the sum that must always come out.

A row of the partials, beside those of the counters, holds all numbers and the offset they reach
to. So whoever reads it, whenever, reads numbers of one position: received = counted + bots +
duplicates + rejected. Beside them stand the offsets that Kafka lost before they were counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from app.counting.spec import Cells
from app.events.batches import Verdicts

# By slot; never in another order.
OUTCOMES = ("received", "counted", "bots", "rejected", "duplicates", "lost")


def outcomes(received: Sequence[int], verdicts: Verdicts, rejected: Sequence[int]) -> Cells:
    """Return {slot: records}; each number is found on its own.

    received, rejected: offsets of all records, and of those that are no events. What is lost comes
    beside, see tables.outcome_row.
    """
    human, bots, _, duplicates = (len(part.events) for part in verdicts)
    return dict(enumerate((len(received), human, bots, len(rejected), duplicates)))


def offsets_between(offsets: Sequence[int], begin: int, end: int) -> Sequence[int]:
    """Return the offsets of (begin, end]; they come in their order."""
    return offsets[bisect_right(offsets, begin) : bisect_right(offsets, end)]
