"""Rows into parquet files, each row once; a few large files instead of many small ones.

Everything here blocks; call it in a thread.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from app.archive.files import (
    ArchivePart,
    Folders,
    cluster_name,
    exchange,
    publish,
    publish_all,
    sync,
)
from app.archive.messages import MessageFiles, Runs
from app.archive.reached import ArchivedTo, ReachedFile
from app.archive.rows import DAY_US, ArchiveRow, day_of
from app.counting.duplicates import Seen
from app.errors import ArchiveBusyError

log = logging.getLogger(__name__)

SCHEMA = pa.schema(
    [
        ("event_time", pa.timestamp("us", tz="UTC")),
        ("user_id", pa.string()),
        ("app_name", pa.string()),
        ("event_action", pa.string()),
        ("event_category", pa.string()),
        ("event_value", pa.float64()),
    ]
)
COMPRESSION = "zstd"
BUSY_WAIT_S = 30.0  # for the lock; a flush takes milliseconds, so its holder hangs
NO_RUNS: Runs = {}
NOTHING_REACHED: Mapping[int, int] = {}
SMALL_BYTES = 8_000_000  # below, a file is merged with its neighbours
SMALL_FILES = 16  # of a date and partition; so many, and they are merged

MANY = 20  # files of a flush: then the whole file system is synced, twice

_source = attrgetter("cluster", "topic", "partition")


class NewFile(NamedTuple):
    """A file that was written and does not appear yet; beside: others of its date and partition."""

    scratch: Path
    final: Path
    rows: int
    beside: int


class Archive:
    """The files of one topic."""

    def __init__(self, folders: Folders, topic: str, cluster: str, hours: int = 0) -> None:
        """cluster: id of the Kafka cluster that the offsets belong to.

        hours: how long a message_id is remembered, 0: nothing is a duplicate.
        """
        self._folders = folders
        self._topic = topic
        self._cluster = cluster_name(cluster)
        self._messages = MessageFiles(folders, topic, self._cluster, hours) if hours else None
        self._reached = ReachedFile(folders, topic)

    def position(self, partition: int) -> ArchivedTo | None:
        """Return up to where all is archived; None: as far as the group has come."""
        return self._reached.of(partition)

    def seen(self, partition: int) -> Seen | None:
        """Return the message_ids of a partition; None where nothing is a duplicate.

        Raises ArchiveBusyError.
        """
        if self._messages is None:
            return None
        with self._folders.writing(BUSY_WAIT_S):  # another worker may remove old ones
            return self._messages.read(partition)

    def write(
        self,
        rows: Mapping[int, Mapping[int, ArchiveRow]],
        runs: Runs = NO_RUNS,
        reached: Mapping[int, int] = NOTHING_REACHED,
    ) -> int:
        """Archive rows by partition and offset; return how many were not archived before.

        runs: what is new of message_ids. reached: by partition the offset below which nothing is
        missing then.

        After a crash anywhere in here, the same rows, cut into other batches or mixed with later
        ones, complete what is missing and double nothing. Raises ArchiveBusyError.
        """
        with self._folders.writing(BUSY_WAIT_S):
            shutil.rmtree(self._folders.new, ignore_errors=True)  # of a writer that was killed
            self._folders.new.mkdir()
            if self._messages:
                self._messages.write(runs)
            files = [file for partition in sorted(rows) for file in self._files(partition, rows)]
            if len(files) > MANY:
                publish_all([(file.scratch, file.final) for file in files])
            else:
                for file in files:
                    publish(file.scratch, file.final)
            for file in files:
                if file.beside >= SMALL_FILES:
                    self._try_to_merge(file.final.parent)
            self._reached.advance(reached)
        return sum(file.rows for file in files)

    def _files(
        self, partition: int, rows: Mapping[int, Mapping[int, ArchiveRow]]
    ) -> Iterator[NewFile]:
        """Write the rows of a partition, a file for each date, and yield what is to appear."""
        by_offset, days = rows[partition], dict[int, list[int]]()
        for offset in sorted(by_offset):
            days.setdefault(by_offset[offset].event_time // DAY_US, []).append(offset)
        for day, offsets in sorted(days.items()):
            folder = self._folders.date(day_of(day * DAY_US))
            parts = [p for p in parts_of(folder) if self._is_ours(p, partition)]
            done = [part for part in parts if part.last >= offsets[0]]  # none, but after a crash
            missing = [o for o in offsets if not any(p.first <= o <= p.last for p in done)]
            if missing:
                part = ArchivePart(self._cluster, self._topic, partition, missing[0], missing[-1])
                scratch = self._folders.new / str(part)  # no two dates begin with one offset
                write_rows(scratch, [by_offset[offset] for offset in missing])
                yield NewFile(scratch, folder / str(part), len(missing), len(parts))

    def _is_ours(self, part: ArchivePart, partition: int) -> bool:
        return _source(part) == (self._cluster, self._topic, partition)

    def _try_to_merge(self, folder: Path) -> None:
        """Merge small files; where that cannot be done now, they stay as they are."""
        try:
            with self._folders.removing(wait_s=0):
                merge_small(folder, self._folders.new)
        except ArchiveBusyError:
            pass  # somebody reads
        except (OSError, AttributeError) as exc:
            if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EIO):
                raise
            log.warning(
                "%s: small files stay: folders cannot be swapped on this file system: %s",
                folder,
                exc,
            )


def parts_of(folder: Path) -> list[ArchivePart]:
    """Return what the files in the folder of a date hold."""
    try:
        return [part for file in folder.iterdir() if (part := ArchivePart.of(file.name))]
    except FileNotFoundError:
        return []


def write_rows(file: Path, rows: Iterable[ArchiveRow]) -> None:
    """Write a parquet file."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), file, compression=COMPRESSION)


def merge_small(folder: Path, new: Path) -> int:
    """Merge the small files of each partition; return how many files that saves.

    A folder with the same rows in fewer files is built beside it, of links and of merged files,
    and takes its place in one step: at no moment a row is missing or there twice.
    """
    parts = sorted(parts_of(folder))
    groups = [list(group) for _, group in groupby(parts, _source)]
    plan = [small for group in groups if len(small := _small(folder, group)) >= SMALL_FILES]
    if not plan:
        return 0
    built = new / folder.name
    built.mkdir()
    merged = {str(part) for small in plan for part in small}
    for small in plan:
        last = max(part.last for part in small)  # a range may lie in the one before
        whole = replace(small[0], last=last)
        merge([folder / str(part) for part in small], built / str(whole))
    for file in folder.iterdir():
        if file.name not in merged:
            os.link(file, built / file.name)
    sync(built)
    exchange(built, folder)
    shutil.rmtree(built)  # the old one by now
    return sum(len(small) - 1 for small in plan)


def _small(folder: Path, parts: list[ArchivePart]) -> list[ArchivePart]:
    """Return the small files after the last large one: neighbours, in the order of offsets."""
    small: list[ArchivePart] = []
    for part in parts:
        if (folder / str(part)).stat().st_size < SMALL_BYTES:
            small.append(part)
        else:
            small = []
    return small


def merge(files: list[Path], target: Path) -> None:
    """Write the rows of files into one, what one flush wrote at a time in memory."""
    with pq.ParquetWriter(target, SCHEMA, compression=COMPRESSION) as writer:
        for file in files:
            with pq.ParquetFile(file) as source:
                for group in range(source.num_row_groups):
                    writer.write_table(source.read_row_group(group))
    sync(target)
