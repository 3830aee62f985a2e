"""A user taken out of the archive: the rows stay, under a name that says nothing. Blocks."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.archive.archive import COMPRESSION
from app.archive.files import Folders, publish

READERS_WAIT_S = 600.0  # for queries over the files that are replaced
USER = "user_id"


def forget_in_archive(folders: Folders, user: str, token: str) -> int:
    """Give the rows of a user another name; return how many they are.

    Killed in between, some files have it, and the rest follows with the next call. Raises
    ArchiveBusyError or OSError.
    """
    if not folders.archive.is_dir():
        return 0
    renamed = 0
    with folders.writing(READERS_WAIT_S), folders.removing(READERS_WAIT_S):
        folders.new.mkdir(exist_ok=True)  # who writes next empties it
        for file in sorted(folders.archive.glob("date=*/*.parquet")):
            renamed += _forget_in(file, folders.new / file.name, user, token)
    return renamed


def _forget_in(file: Path, scratch: Path, user: str, token: str) -> int:
    with pq.ParquetFile(file) as source:
        is_theirs = pc.equal(source.read([USER])[USER], user)
        if not (count := pc.sum(is_theirs).as_py()):
            return 0
        with pq.ParquetWriter(scratch, source.schema_arrow, compression=COMPRESSION) as target:
            for group in range(source.num_row_groups):
                target.write_table(_renamed(source.read_row_group(group), user, token))
    publish(scratch, file)
    return int(count)


def _renamed(rows: pa.Table, user: str, token: str) -> pa.Table:
    users = rows[USER]
    names = pc.if_else(pc.fill_null(pc.equal(users, user), False), token, users)  # noqa: FBT003
    return rows.set_column(rows.schema.get_field_index(USER), rows.schema.field(USER), names)
