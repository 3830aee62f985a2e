"""A user, or old dates, taken out of the archive. Blocks.

Rows of a user stay, under a name that says nothing; files of old dates go.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.archive.archive import COMPRESSION
from app.archive.copies import drop_remains
from app.archive.files import ArchivePart, Folders, cluster_name, publish, sync

READERS_WAIT_S = 600.0  # for queries over the files that are replaced
USER = "user_id"
DATE = "date="


def forget_in_archive(folders: Folders, user: str, token: str) -> int:
    """Give the rows of a user another name; return how many they are.

    Killed in between, some files have it, and the rest follows with the next call. enriched/ is
    outdated then. Raises ArchiveBusyError or OSError.
    """
    renamed = 0
    drop_remains(folders)
    for folder in sorted(folders.archive.glob("date=*")):
        with folders.changing(READERS_WAIT_S):  # the archive worker writes in between
            folders.new.mkdir(exist_ok=True)  # who writes next empties it
            for file in sorted(folder.glob("*.parquet")):
                renamed += _forget_in(file, folders, user, token)
    return renamed


def forget_dates(folders: Folders, before: date, archived: Mapping[int, int], cluster: str) -> int:
    """Delete the files of dates before one; return how many.

    archived: offset up to which a partition of `events` is archived for good: what a worker may
    write again stays, for the next call. cluster: that these offsets are of. Killed in between,
    some files are gone. enriched/ is outdated then. Raises ArchiveBusyError or OSError.
    """
    if not folders.archive.is_dir():
        return 0
    drop_remains(folders)
    ours, deleted = cluster_name(cluster), 0
    with folders.changing(READERS_WAIT_S):
        for folder in sorted(folders.archive.glob("date=????-??-??")):
            if folder.name >= f"{DATE}{before}":
                break
            for file in folder.iterdir():
                part = ArchivePart.of(file.name)
                if part is None:
                    continue
                if part.cluster != ours or part.last < archived.get(part.partition, 0):
                    if not deleted:
                        folders.outdated.set()
                    file.unlink()
                    deleted += 1
            if not any(folder.iterdir()):
                folder.rmdir()
        sync(folders.archive)
    return deleted


def _forget_in(file: Path, folders: Folders, user: str, token: str) -> int:
    scratch = folders.new / file.name
    with pq.ParquetFile(file) as source:
        is_theirs = pc.equal(source.read([USER])[USER], user)
        if not (count := pc.sum(is_theirs).as_py()):
            return 0
        with pq.ParquetWriter(scratch, source.schema_arrow, compression=COMPRESSION) as target:
            for group in range(source.num_row_groups):
                target.write_table(_renamed(source.read_row_group(group), user, token))
    folders.outdated.set()
    publish(scratch, file)
    return int(count)


def _renamed(rows: pa.Table, user: str, token: str) -> pa.Table:
    users = rows[USER]
    names = pc.if_else(pc.fill_null(pc.equal(users, user), False), token, users)  # noqa: FBT003
    return rows.set_column(rows.schema.get_field_index(USER), rows.schema.field(USER), names)
