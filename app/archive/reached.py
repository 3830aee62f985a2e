"""Below which offsets all app events are in the archive, so that one of an older day is noticed.

    .archive/reached-events.json      {"0": 1932, "1": 1840}: by partition

The names of the files tell what was archived, and not that nothing behind them is missing: most
events are no app events. Where Kafka's group has come further than this says, the folder was put
back as it was before. Everything here blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from app.archive.files import Folders, publish
from app.archive.positions import archived_to

FILES = "reached-*.json"  # by topic

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[int, int]).decode


class ArchivedTo(NamedTuple):
    """offset: all below it is archived. whole: whether what follows is missing, if not yet read.

    Else there may be nothing to archive in it.
    """

    offset: int
    whole: bool


class ArchiveMemory:
    """LogMemory: how far the archive has looked at the log, whatever it found there."""

    name = "the archive"

    def __init__(self, folders: Folders, topic: str) -> None:
        self._file = ReachedFile(folders, topic)

    async def positions(self) -> dict[int, int]:
        """Return the offset behind the last one by partition."""
        return await asyncio.to_thread(self._file.positions)

    async def begins(self, partitions: int) -> dict[int, int]:
        """Return where a worker would begin, where not as committed: 0 for a folder that is new."""
        found = await asyncio.to_thread(lambda: [self._file.of(p) for p in range(partitions)])
        return {p: at.offset for p, at in enumerate(found) if at is not None}


class ReachedFile:
    """The file of one topic."""

    def __init__(self, folders: Folders, topic: str) -> None:
        self._folders, self._topic = folders, topic
        self._file = folders.work / FILES.replace("*", topic)

    def of(self, partition: int) -> ArchivedTo | None:
        """Return up to where all is archived; None: as far as the group has come.

        Where there is no such file, files of an older version, or out of a backup of one, tell by
        their names; and where there is nothing at all, nothing is archived.
        """
        if self._file.exists():
            at = self.noted().get(partition)
            return None if at is None else ArchivedTo(at, whole=True)
        if named := archived_to(self._folders.archive, self._topic):
            return ArchivedTo(named.get(partition, 0), whole=False)
        return None if self._folders.work.is_dir() else ArchivedTo(0, whole=False)

    def advance(self, reached: Mapping[int, int]) -> None:
        """Note how far some partitions are; under the write lock, once their rows are there.

        A worker that was replaced while it hung sets nothing back.
        """
        before = self.noted()
        after = before | {p: max(at, before.get(p, 0)) for p, at in reached.items()}
        if after != before:
            scratch = self._folders.new / self._file.name
            scratch.write_bytes(_encode(after))
            publish(scratch, self._file)

    def positions(self) -> dict[int, int]:
        """Return the offset behind the last one that was looked at, by partition."""
        named = archived_to(self._folders.archive, self._topic)
        reached = self.noted()
        return {p: max(named.get(p, 0), reached.get(p, 0)) for p in named | reached}

    def noted(self) -> dict[int, int]:
        """Return up to where all is archived, by partition; nothing where that is not noted."""
        if not self._file.exists():
            return {}
        found: dict[int, int] = _decode(self._file.read_bytes())
        return found
