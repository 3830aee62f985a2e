"""The archive copied into a backup, as it is at one moment, and back. Everything here blocks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from app.archive.files import Folders
from app.archive.messages import ENDING
from app.archive.positions import archived_to

BUSY_WAIT_S = 30.0  # for a flush, which takes milliseconds
PARTS = ("archive", ".archive/messages")  # below Folders; what is enriched is made of them
NAME_OF_RUN = 3  # lowest offset, highest offset, time


def copy_archive(folders: Folders, target: Path) -> int:
    """Copy the archive to below a folder that is there; return how many files it has.

    Files never change, so it is one of links that the moment is caught in, and then copied while
    the archive goes on. Whoever removes files holds the write lock, too, so queries may read, and
    enrich reads for minutes. Raises ArchiveBusyError or OSError.
    """
    base = folders.archive.parent
    links = folders.work / "backup"
    with folders.writing(BUSY_WAIT_S):
        shutil.rmtree(links, ignore_errors=True)  # of a backup that was killed
        for part in PARTS:
            if (base / part).is_dir():
                shutil.copytree(base / part, links / part, copy_function=os.link)
    if not links.is_dir():
        return 0
    try:
        for part in PARTS:
            if (links / part).is_dir():
                shutil.copytree(links / part, target / part)
    finally:
        shutil.rmtree(links, ignore_errors=True)
    return sum(1 for part in PARTS for file in (target / part).rglob("*") if file.is_file())


def remembered(base: Path, topic: str) -> dict[int, int]:
    """Return the offset behind the last one that a copy knows of, by partition.

    As a row, or as the message_id of an event that was no app event.
    """
    found = archived_to(base, topic)
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
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, folders.archive.parent / part, dirs_exist_ok=True)
