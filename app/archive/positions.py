"""What the archive remembers of the log of `events`: the largest offset in its file names."""

from __future__ import annotations

import asyncio
import os

from app.archive.files import Folders, Part


class ArchivedPositions:
    """Remembers what the archive has archived. Only app events are in it, so it may be less."""

    name = "the archive"

    def __init__(self, folders: Folders, topic: str) -> None:
        self._folders, self._topic = folders, topic

    async def positions(self) -> dict[int, int]:
        """Return the offset behind the last archived one by partition."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for _, _, names in os.walk(self._folders.archive):
            for name in names:
                part = Part.of(name)
                if part is not None and part.topic == self._topic:
                    found[part.partition] = max(found.get(part.partition, 0), part.last + 1)
        return found
