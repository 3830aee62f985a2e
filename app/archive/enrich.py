"""The archive with what is known about each user: u_count and u_mp_ea.

u_count: events of the row's user in the last 3 hours before T, that is T - 3 h < event_time <= T;
one number per user, as of the run, and not per row: else T would have no meaning. 0 where the
user had none. u_mp_ea: the user's most frequent event_action in the whole archive, null actions
left out, the first by name of several; null where all are null. Both are null in rows without a
user: nobody knows whose events they are. Every row of the archive is kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from app.archive.files import Folders, locked, nothing, replace_folder
from app.archive.snapshot import Snapshot
from app.archive.views import connected, quoted
from app.errors import StartError

WINDOW = timedelta(hours=3)
OTHER_S = 3600.0  # longer than an enrich takes; its lock is free again however it ends
READERS_WAIT_S = 600.0  # for queries over the files that are replaced
FILE = "enriched.parquet"
GROUP_BYTES = 16_000_000  # that a writing thread holds; else 122,880 rows, however long they are

# Two small steps instead of one: what is grouped first is a row per user and action, and only
# that is sorted. Grouping, sorting and joining go to disk where memory does not suffice.
QUERY = """
with per_action as (
    select user_id, event_action, count(*) as events,
           count(*) filter (where event_time > $begin and event_time <= $at) as recent
      from archive where user_id is not null
     group by user_id, event_action
), ranked as (
    select user_id, event_action, sum(recent) over (partition by user_id) as u_count,
           row_number() over (partition by user_id
                              order by event_action is null, events desc, event_action) as place
      from per_action
)
select archive.*, users.u_count::bigint as u_count, users.event_action as u_mp_ea
  from archive left join ranked as users on users.user_id = archive.user_id and users.place = 1
"""


def enrich(
    folders: Folders,
    at: datetime | None,
    memory_mb: int,
    *,
    wait_s: float = 0,
    on_wait: Callable[[], None] = nothing,
) -> Snapshot:
    """Write enriched/ anew and put it in the place of the old one, as a whole.

    at: aware; None: when it begins. on_wait: called once where another enrich is at work, which is
    waited for. Raises StartError, and ArchiveBusyError where that takes longer than wait_s.
    """
    folders.work.mkdir(parents=True, exist_ok=True)
    with locked(folders.work / "enrich.lock", wait_s=wait_s, on_wait=on_wait):
        at, outdated = at or datetime.now(UTC), folders.outdated.read()
        new, spill = folders.work / "enriched", folders.work / "spill"
        for left in (new, spill):  # of one that was killed
            shutil.rmtree(left, ignore_errors=True)
        new.mkdir()
        try:
            rows = _write(folders, new / FILE, at, memory_mb, spill)
            snapshot = Snapshot(at, datetime.now(UTC), rows)
            snapshot.write(new)
            with folders.removing(READERS_WAIT_S):
                replace_folder(new, folders.enriched)
            folders.outdated.clear(outdated)
        except duckdb.Error as exc:
            reason = str(exc).partition("\n")[0]
            if isinstance(exc, duckdb.OutOfMemoryException):
                reason += "; set EVENT_COUNTER_DUCKDB_MEMORY_MB higher"
            raise StartError(f"enriched/ is unchanged: {reason}") from exc
        finally:
            for left in (new, spill):
                shutil.rmtree(left, ignore_errors=True)
    return snapshot


def enrich_if_outdated(folders: Folders, memory_mb: int) -> None:
    """As enrich(), where enriched/ is there and holds what the archive has no more."""
    if folders.outdated.read() and folders.enriched.is_dir():
        enrich(folders, None, memory_mb, wait_s=OTHER_S)


def _write(folders: Folders, file: Path, at: datetime, memory_mb: int, spill: Path) -> int:
    with connected(folders, memory_mb, spill) as connection:
        times = {"$begin": at - WINDOW, "$at": at}
        query = QUERY
        for name, time in times.items():  # COPY takes no parameters
            query = query.replace(name, f"timestamptz {quoted(time.isoformat())}")
        how = f"format parquet, compression zstd, row_group_size_bytes {GROUP_BYTES}"
        target = f"{quoted(str(file))} ({how})"
        found = connection.execute(f"copy ({query}) to {target}").fetchone()
    return int(found[0]) if found else 0
