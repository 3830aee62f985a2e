"""What role archive counts as lost: nothing that it has archived."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from agents.archive_events import LostCount
from app.archive.archive import Archive
from app.archive.buffer import ArchiveBuffer
from app.archive.files import Folders
from app.events.filler import filler
from tests.app.kafka.test_mending import placed
from tests.support.archive import numbered


def lost() -> float:
    return REGISTRY.get_sample_value("event_counter_events_lost_total", {"role": "archive"}) or 0


@pytest.mark.parametrize(
    ("first", "after", "count"),
    [
        (40, 50, 10),  # nothing of it was archived
        (20, 50, 10),  # Kafka, and what its group had committed, were put back
        (20, 40, 0),
    ],
)
async def test_what_was_archived_before_kafka_lost_it_is_not_lost(
    tmp_path: Path, first: int, after: int, count: int
) -> None:
    async def opened() -> Archive:
        return Archive(Folders(tmp_path), "events", "one")

    (await opened()).write({0: numbered([3, 5])}, reached={0: 40})
    counting, before = LostCount(ArchiveBuffer(opened)), lost()
    records = placed(first, (after - first, filler(after)))
    for cut in (records[:4], records[2:]):  # a part of it comes again
        await counting.note(0, cut)
    assert lost() - before == count
