"""What became of the records of a partition of `events`: the sum that must always come out.

A row of the partials, beside those of the counters, holds all four numbers and the offset that they
reach to. So whoever reads it, whenever, reads numbers of one position: received = counted + bots +
rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.counting.spec import Cells
from app.events.batches import Decoded, Judged

OUTCOMES = ("received", "counted", "bots", "rejected")  # by slot; never in another order


def outcomes(batch: Sequence[Any], decoded: Decoded, judged: Judged, after: int) -> Cells:
    """Return {slot: records above an offset}; each number is found on its own."""
    received, rejected = len(batch), len(decoded.rejected)
    if after >= batch[0].offset:  # only a batch that comes again
        received = sum(record.offset > after for record in batch)
        rejected = sum(record.offset > after for record, _ in decoded.rejected)
        judged = judged.after(after)
    counts = received, len(judged.human.events), len(judged.bot.events), rejected
    return dict(enumerate(counts))
