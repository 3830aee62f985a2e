"""What an archive out of a backup lacks of the events that came with it, made from event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.archive.archive import Archive
from app.archive.files import Folders, cluster_name
from app.archive.positions import archived_to
from app.archive.reached import ReachedFile
from app.archive.rows import row_of, without_duplicates
from app.counting.duplicates import Seen
from app.reconcile.past_events import PastBatch, PastReader

NOBODY = 0  # no generation


async def fill_archive(
    past: PastReader, folders: Folders, cluster: str, hours: int, say: Callable[[str], object]
) -> int:
    """Archive the app events of event that no file holds yet; return how many.

    It begins where the archive noted that all is there. What files hold behind it is not all: a
    flush that was killed may have come to some of its dates alone. The offsets of files of a former
    cluster lie before those of this one.

    cluster: the one that the offsets of event are of. hours: see Archive.
    """
    archive, added = Archive(folders, past.topic, cluster, hours), 0
    noted = await asyncio.to_thread(ReachedFile(folders, past.topic).noted)
    former = await asyncio.to_thread(
        archived_to, folders.archive, past.topic, cluster_name(cluster)
    )
    async with past.lock:
        await past.open()
        try:
            for partition in sorted(past.ends):
                past.positions[partition] = max(noted.get(partition, 0), former.get(partition, 0))
                seen = await asyncio.to_thread(archive.seen, partition)
                while past.has(partition):
                    batch = await past.next(partition, NOBODY)
                    added += await asyncio.to_thread(_add, archive, partition, batch, seen)
                    say(f"archiving missing events: {added} events")
        finally:
            await past.close()
    return added


def _add(archive: Archive, partition: int, batch: PastBatch, seen: Seen | None) -> int:
    """Archive a batch, as agents.archive_events does one of Kafka."""
    valid, named = batch.decoded.valid, batch.decoded.named
    rows = {
        offset: row_of(event, event.app_name)
        for event, offset in zip(valid.events, valid.offsets, strict=True)
        if event.app_name is not None
    }
    rows, runs = without_duplicates(rows, seen, named), []
    if seen is not None and named.ids:
        runs = list(seen.take_fresh())
        seen.expire(batch[-1].timestamp)
    return archive.write(
        {partition: rows} if rows else {},
        {partition: runs} if runs else {},
        {partition: batch.after},
    )
