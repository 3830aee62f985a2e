"""Records of our own topics that are none of ours are left out, counted and named.

Others can write to them, too: what is there must not end its readers, as it would come again at
each start, in a compacted topic for good.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from app import metrics
from app.errors import reason

log = logging.getLogger(__name__)

# What the readers of keys, counts and sketches raise at bytes that are none of ours.
UNREADABLE = (
    *(ValueError, IndexError, RuntimeError, MemoryError, ArithmeticError),
    *(struct.error, msgspec.MsgspecError),
)


def leave_out(found: Sequence[tuple[Any, BaseException]]) -> None:
    """Count and name records of one partition, with what is wrong; one line tells of all."""
    if not found:
        return
    record, why = found[0]
    metrics.records_unreadable.labels(record.topic).inc(len(found))
    log.error(
        "%s-%d: %d records are not ours and are skipped, the first at offset %d: %s",
        *(record.topic, record.partition, len(found), record.offset, reason(why)),
    )
