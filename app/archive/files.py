"""Where the archive lies on disk, what its file names say, and who may change it when.

    archive/date=2026-11-23/events-3-000000001200-000000001931.<cluster>.parquet
    enriched/enriched.parquet
    .archive/            work in progress and locks, in the same file system

A file holds every app event of its date in its range of offsets. So the names tell what was
archived, and nothing else has to be kept in step with them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from app.errors import ArchiveBusyError
from app.settings import Settings

LOCK_POLL_S = 0.02
AT_FDCWD = -100  # linux/fcntl.h
RENAME_EXCHANGE = 2  # linux/fs.h

_NAME = re.compile(r"(.+)-(\d+)-(\d+)-(\d+)\.([A-Za-z0-9_-]*)\.parquet")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, order=True)
class ArchivePart:
    """What one file of a date holds: offsets first to last of a partition.

    cluster: cluster_name() of its Kafka; the offsets of another one mean other events.
    """

    cluster: str
    topic: str
    partition: int
    first: int
    last: int

    @classmethod
    def of(cls, name: str) -> Self | None:
        """Return what a file name says, None for a file that is not ours."""
        if (match := _NAME.fullmatch(name)) is None:
            return None
        topic, partition, first, last, cluster = match.groups()
        return cls(cluster, topic, int(partition), int(first), int(last))

    def __str__(self) -> str:
        """The file name."""
        place = f"{self.topic}-{self.partition}"
        return f"{place}-{self.first:012d}-{self.last:012d}.{self.cluster}.parquet"


def cluster_name(cluster: str) -> str:
    """Return a cluster's id as it stands in file names; Kafka's own ids stay as they are."""
    return _NOT_IN_NAMES.sub("_", cluster)


class Outdated:
    """The mark that enriched/ holds what was taken out of the archive; it outlives who set it."""

    def __init__(self, file: Path) -> None:
        """file: is there while it is so."""
        self._file = file

    def set(self) -> None:
        """Mark it, for good once it returns."""
        with self._file.open("a") as file:  # a crash in between leaves what is there
            file.write(uuid.uuid4().hex)
        sync(self._file)
        sync(self._file.parent)

    def read(self) -> str:
        """Return the mark, another one each time it is set; empty: not outdated."""
        try:
            return self._file.read_text()
        except FileNotFoundError:
            return ""

    def clear(self, mark: str) -> None:
        """Take the mark away, unless it was set again."""
        if mark and mark == self.read():
            self._file.unlink()


class Folders:
    """The folders of one archive."""

    def __init__(self, base: Path) -> None:
        self.archive = base / "archive"
        self.enriched = base / "enriched"
        self.work = base / ".archive"
        self.new = self.work / "new"  # parquet files that are being written, under the write lock
        self.outdated = Outdated(self.work / "enriched-outdated")

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those of the settings."""
        return cls(Path(settings.archive_dir or settings.data_dir).absolute())

    def date(self, day: str) -> Path:
        """Return the folder of a UTC date such as 2026-11-23."""
        return self.archive / f"date={day}"

    @contextlib.contextmanager
    def writing(self, wait_s: float) -> Iterator[None]:
        """Be the only one that changes the archive; raise ArchiveBusyError.

        A worker that was replaced while it hung finds here, when it goes on, what its successor
        has written.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        with locked(self.work / "write.lock", wait_s=wait_s):
            yield

    @contextlib.contextmanager
    def removing(self, wait_s: float) -> Iterator[None]:
        """Remove files while nobody reads; raise ArchiveBusyError."""
        self.work.mkdir(parents=True, exist_ok=True)
        with locked(self.work / "read.lock", wait_s=wait_s):
            yield

    @contextlib.contextmanager
    def changing(self, wait_s: float) -> Iterator[None]:
        """Change files that are there, while nobody reads or writes; raise ArchiveBusyError.

        A query may take long: no writer is kept waiting while it is waited for.
        """
        until = time.monotonic() + wait_s
        while True:
            with contextlib.ExitStack() as held:
                held.enter_context(self.writing(wait_s))
                try:
                    held.enter_context(self.removing(0))
                except ArchiveBusyError:
                    if time.monotonic() >= until:
                        raise
                else:
                    yield
                    return
            time.sleep(LOCK_POLL_S)

    @contextlib.contextmanager
    def reading(self, wait_s: float = 60.0) -> Iterator[None]:
        """Keep the files that are there from being removed; new ones may come."""
        lock = self.work / "read.lock"
        if not self.work.is_dir():  # nothing was archived yet, so nothing is removed
            yield
            return
        with locked(lock, wait_s=wait_s, shared=True):
            yield


def nothing() -> None:
    """Do it."""


@contextlib.contextmanager
def locked(
    file: Path, *, wait_s: float, shared: bool = False, on_wait: Callable[[], None] = nothing
) -> Iterator[None]:
    """Hold a lock that is free again when its holder ends, however it ends.

    on_wait: called once, where it is not free. Raises ArchiveBusyError when it is not free within
    wait_s.
    """
    until, told = time.monotonic() + wait_s, False
    with _opened(file) as lock:
        while True:
            try:
                fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                if time.monotonic() >= until:
                    raise ArchiveBusyError(f"{file} is held by another process") from exc
                if not told:
                    on_wait()
                told = True
                time.sleep(LOCK_POLL_S)
            else:
                break
        yield


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("ab")
    except PermissionError:  # a reader needs no more
        return file.open("rb")


def publish(scratch: Path, final: Path) -> None:
    """Let a finished file appear under its name; it stays there even if the power fails."""
    sync(scratch)
    if not final.parent.is_dir():
        final.parent.mkdir(parents=True)
        sync(final.parent.parent)
    scratch.rename(final)
    sync(final.parent)


def publish_all(files: Sequence[tuple[Path, Path]]) -> None:
    """As publish(), of many files of one file system: two waits for the disk, and not three a file.

    files: (scratch, final). A crash leaves any part of them, each of them whole.
    """
    if not files:
        return
    sync_all(files[0][0].parent)
    for scratch, final in files:
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(final)
    sync_all(files[0][1].parent)


def sync_all(folder: Path) -> None:
    """Return when all that was written to the file system of a folder is on the disk."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        if not hasattr(libc, "syncfs"):  # not Linux
            os.sync()
        elif libc.syncfs(handle):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(handle)


def sync(path: Path) -> None:
    """Return when a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def exchange(one: Path, other: Path) -> None:
    """Swap two folders in one step; raise OSError where the system cannot.

    renameat2(2) of Linux: a folder that is not empty cannot be replaced by rename(2).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(one), os.fsencode(other)
    if libc.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one))
    sync(other.parent)


def replace_folder(new: Path, target: Path) -> None:
    """Put a finished folder in the place of another, which is removed.

    Where folders cannot be swapped, there is none for an instant.
    """
    for file in new.iterdir():
        sync(file)
    sync(new)
    if not target.exists():
        new.rename(target)
        sync(target.parent)
        return
    try:
        exchange(new, target)
    except (OSError, AttributeError):  # AttributeError: no renameat2 in this libc
        old = new.with_name(new.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        new.rename(target)
        new = old
    shutil.rmtree(new)
