"""What the archive remembers of the log of `events`: the largest offset in its file names."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from app.archive.files import ArchivePart, Folders


class ArchivedPositions:
    """Remembers what the archive has archived. Only app events are in it, so it may be less."""

    name = "the archive"

    def __init__(self, folders: Folders, topic: str) -> None:
        self._folders, self._topic = folders, topic

    async def positions(self) -> dict[int, int]:
        """Return the offset behind the last archived one by partition."""
        return await asyncio.to_thread(archived_to, self._folders.archive, self._topic)


def archived_to(folder: Path, topic: str) -> dict[int, int]:
    """Return the offset behind the last one in the files below a folder, by partition."""
    found: dict[int, int] = {}
    for _, _, names in os.walk(folder):
        for name in names:
            part = ArchivePart.of(name)
            if part is not None and part.topic == topic:
                found[part.partition] = max(found.get(part.partition, 0), part.last + 1)
    return found
