"""The archive copied into a backup, as it is at one moment, and back. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.archive.files import Folders, locked
from app.archive.messages import ENDING
from app.archive.reached import FILES, ReachedFile
from app.errors import ArchiveBusyError, BusyError

BUSY_WAIT_S = 30.0  # for a flush, which takes milliseconds
# Below Folders; what is enriched is made of them.
PARTS = ("archive", ".archive/messages")
REACHED = f".archive/{FILES}"
Copy = Callable[[Any, Any], object]  # of two paths, in any form
NAME_OF_RUN = 3  # lowest offset, highest offset, time


@contextlib.contextmanager
def only_backup(folders: Folders) -> Iterator[None]:
    """Be the only backup of an archive, without what a killed one left; raise BusyError."""
    folders.work.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folders.work / "backup.lock", wait_s=0))
        except ArchiveBusyError as exc:
            raise BusyError("another event-counter backup is running") from exc
        shutil.rmtree(_links(folders), ignore_errors=True)
        yield


def drop_remains(folders: Folders) -> None:
    """Delete what a killed backup left: it holds what is forgotten."""
    if _links(folders).is_dir():
        with contextlib.suppress(BusyError), only_backup(folders):
            pass


def _links(folders: Folders) -> Path:
    return folders.work / "backup"


def copy_archive(folders: Folders, target: Path) -> int:
    """Copy the archive to below a folder that is there; return how many files it has.

    Files never change, so it is one of links that the moment is caught in, and then copied while
    the archive goes on. Whoever removes files holds the write lock, too, so queries may read, and
    enrich reads for minutes. Call it inside of only_backup(). Raises ArchiveBusyError or OSError.
    """
    base, links = folders.archive.parent, _links(folders)
    with folders.writing(BUSY_WAIT_S):
        _copy(base, links, os.link)
    if not links.is_dir():
        return 0
    try:
        _copy(links, target)
        return sum(1 for file in links.rglob("*") if file.is_file())
    finally:
        shutil.rmtree(links, ignore_errors=True)


def remembered(base: Path, topic: str) -> dict[int, int]:
    """Return the offset behind the last one that a copy knows of, by partition.

    As a row, as looked at, or as the message_id of an event that was no app event.
    """
    found = ReachedFile(Folders(base), topic).positions()
    for file in (base / ".archive/messages").glob(f"*/*/*{ENDING}"):
        name, _, partition = file.parent.name.rpartition("-")
        offsets = file.stem.split("-")
        if name == topic and len(offsets) == NAME_OF_RUN:
            number = int(partition)
            found[number] = max(found.get(number, 0), int(offsets[1]) + 1)
    return found


def is_unused(folders: Folders) -> bool:
    """Return whether nothing was archived yet."""
    return not any(folders.archive.rglob("*.parquet"))


def put_back(source: Path, folders: Folders) -> None:
    """Copy the archive out of a backup; raise OSError."""
    _copy(source, folders.archive.parent)


def _copy(source: Path, target: Path, copy: Copy = shutil.copy2) -> None:
    """Copy all that an archive consists of; copy: a file to a name."""
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, copy_function=copy, dirs_exist_ok=True)
    for file in source.glob(REACHED):
        (target / ".archive").mkdir(parents=True, exist_ok=True)
        copy(file, target / ".archive" / file.name)
