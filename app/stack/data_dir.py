"""The data directory of a running copy: one owner at a time, room on the disk, run.json."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.errors import SettingsError, StartError
from app.stack.child import kill_leftover

PRIVATE = 0o077  # umask of all that we start: for the owner alone
RESTORING = "restore.unfinished"
FREE_MIN_BYTES = 500_000_000  # Kafka, Postgres and the tables of a first day
WORKER_FREE_MIN_BYTES = 100_000_000  # what RocksDB writes before it removes what it replaces


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own the folder while inside; what a killed owner left running is ended first.

    Raises StartError when another process owns it, or the disk is full or read-only; SettingsError
    for a name that not all can read.
    """
    check_name(folder)
    with contextlib.ExitStack() as stack:
        try:
            make_private(folder)
            lock = stack.enter_context((folder / "lock").open("a+", encoding="ascii"))
            _lock(lock, folder)  # freed with the process
            (folder / "run.json").unlink(missing_ok=True)  # of a killed owner, or copied with all
            for pid_file in folder.glob("*/*.pid"):
                kill_leftover(pid_file)
            check_room(folder, FREE_MIN_BYTES)
        except OSError as exc:
            raise cannot_write(folder, exc) from exc
        try:
            yield
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
                raise cannot_write(folder, exc) from exc
            raise


@contextlib.contextmanager
def restoring(folder: Path) -> Iterator[None]:
    """Leave a mark while inside, which stays when it does not end well, see check_whole()."""
    mark = folder / RESTORING
    mark.touch()
    yield
    mark.unlink()


def check_whole(folder: Path) -> None:
    """Raise StartError where a restore did not end: what there is would pass for all of it."""
    if (folder / RESTORING).exists():
        raise StartError(
            f"A restore into {folder} did not end. Delete that folder, empty the servers that were "
            "given by address, and restore again"
        )


def cannot_write(folder: Path, exc: OSError) -> StartError:
    """Return the error of a folder that cannot be made, or written to."""
    if exc.errno == errno.ENOSPC:
        return no_space(folder, 0)
    return StartError(
        f"Cannot write to {folder}: {exc.strerror or exc}. Set EVENT_COUNTER_DATA_DIR to a folder "
        "of yours"
    )


def make_private(folder: Path) -> None:
    """Make the folder, or close one of ours: events, ips and passwords lie in it.

    One that holds something else, such as /tmp, stays as it is: what is made in it is private all
    the same, see PRIVATE. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o777 & ~PRIVATE)
    mode = stat.S_IMODE(folder.stat().st_mode)
    is_ours = (folder / "lock").exists() or not any(folder.iterdir())
    if mode & PRIVATE and is_ours and not mode & stat.S_ISVTX:
        with contextlib.suppress(PermissionError):  # of another owner, who lets us write
            folder.chmod(mode & ~PRIVATE)


def check_name(folder: Path) -> None:
    """Raise SettingsError for a name that splits lines, is no text, or is none to DuckDB."""
    if found := re.search(r"[\x00-\x1f\x7f\\\udc80-\udcff]", str(folder)):
        raise SettingsError(
            f"EVENT_COUNTER_DATA_DIR: {str(folder)!r} has {found[0]!r} in its name. Use a folder "
            "without control characters, backslashes and what is not UTF-8"
        )


def _lock(lock: Any, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock.seek(0)
        raise StartError(
            f"Data directory {folder} is in use by process {lock.read().strip() or 'unknown'}. "
            "Stop that copy, or set EVENT_COUNTER_DATA_DIR and EVENT_COUNTER_HTTP_PORT to run "
            "another beside it"
        ) from exc
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def check_room(folder: Path, least: int) -> None:
    """Raise StartError where so many bytes are not free; OSError where nobody can say."""
    if (free := shutil.disk_usage(folder).free) < least:
        raise no_space(folder, free, least)


def no_space(folder: Path, free: int, least: int = FREE_MIN_BYTES) -> StartError:
    """Return the error of a full disk; free, least: bytes."""
    return StartError(
        f"No space: {free / 1e6:.0f} MB free in {folder}, {least / 1e6:.0f} MB needed. "
        "Free some, or set EVENT_COUNTER_DATA_DIR to a folder on another disk"
    )


def is_owned(folder: Path) -> bool:
    """Return whether a running copy owns the folder."""
    with contextlib.suppress(OSError), (folder / "lock").open("r", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def write_run_file(folder: Path, facts: dict[str, Any]) -> None:
    """Tell `status` where everything is; for the owner alone, it holds passwords."""
    scratch = folder / "run.json.new"
    scratch.touch(0o600)
    scratch.write_text(json.dumps(facts, indent=1), "utf-8")
    scratch.replace(folder / "run.json")


def read_run_file(folder: Path) -> dict[str, Any]:
    """Return the facts of the running copy, {} when none runs."""
    if not is_owned(folder):
        return {}
    with contextlib.suppress(OSError, ValueError):
        facts: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
        return facts
    return {}
