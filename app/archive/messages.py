"""What the archive remembers of message_ids: a small file of each flush and partition.

    .archive/messages/<cluster>/events-3/000000001200-000000001931-1790000000000.run

The name: lowest and highest offset, and the Kafka time, in ms, of the newest record up to there.
A file holds facts of the log, see app.counting.duplicates; so it does no harm that one overlaps
another. It is there before anything that it tells of is acknowledged. Everything here blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from app.archive.files import Folders, publish
from app.counting.duplicates import Seen
from app.counting.message_runs import MessageRun

Runs = Mapping[int, Sequence[MessageRun]]  # by partition
ENDING = ".run"


class MessageFiles:
    """The files of one topic."""

    def __init__(self, folders: Folders, topic: str, cluster: str, hours: int) -> None:
        """cluster: cluster_name(). hours: how long a message_id is remembered."""
        self._clusters = folders.work / "messages"
        self._folder = self._clusters / cluster
        self._new, self._topic, self._hours = folders.new, topic, hours

    def read(self, partition: int) -> Seen:
        """Return what is remembered of a partition."""
        files = sorted(self._of(partition), key=lambda file: file.name)
        return Seen(self._hours, (file.read_bytes() for file in files))

    def write(self, runs: Runs) -> None:
        """Add runs, and remove what nothing can be a duplicate of; under the write lock."""
        for partition, found in runs.items():
            run = MessageRun.merged(found)
            name = f"{run.offset:012d}-{run.last:012d}-{run.latest}{ENDING}"
            scratch = self._new / name
            scratch.write_bytes(run.pack())
            publish(scratch, self._path(partition) / name)
            end = Seen(self._hours).forgotten_before(run.latest)
            for file in list(self._of(partition)):
                if int(file.stem.rpartition("-")[2]) < end:
                    file.unlink(missing_ok=True)

    def _of(self, partition: int) -> Iterator[Path]:
        """Of all clusters: the offsets of a new one go on behind those of the former one."""
        return self._clusters.glob(f"*/{self._topic}-{partition}/*{ENDING}")

    def _path(self, partition: int) -> Path:
        return self._folder / f"{self._topic}-{partition}"
