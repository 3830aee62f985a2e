"""What became of the records of a partition of `events`: the sum that must always come out.

A row of the partials, beside those of the counters, holds all four numbers and the offset that they
reach to. So whoever reads it, whenever, reads numbers of one position: received = counted + bots +
rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.batches import Decoded, Judged
from app.counters import Cells

OUTCOMES = ("received", "counted", "bots", "rejected")  # by slot; never in another order


def outcomes(batch: Sequence[Any], decoded: Decoded, judged: Judged, after: int) -> Cells:
    """Return {slot: records above an offset}; each number is found on its own."""
    received = sum(record.offset > after for record in batch)
    rejected = sum(record.offset > after for record, _ in decoded.rejected)
    newer = judged.after(after)
    counts = received, len(newer.human.events), len(newer.bot.events), rejected
    return dict(enumerate(counts))
