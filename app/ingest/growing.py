"""A log that grows, and the files that it is rotated into: what of them nobody has read yet."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

from app.errors import StartError
from app.ingest.log_file import UNREADABLE, LogFile, LogPlace, Piece, digest

COPY_S = 60.0  # a file that changed within it may still be growing: copytruncate, or a server
# What was rotated away since may be what an earlier start, killed before it began, was to read.
RECENT_S = 3600.0
PACKING_S = 2.0  # as long since a .gz changed, it is whole
NOT_LOGS = {".bz2", ".xz", ".zst", ".lz4", ".lzma", ".zip", ".tmp", ".swp"}


class GrowingLog:
    """A log by its path, and what it was rotated into: FILE.1, FILE-20261128, FILE.2.gz ...

    places: by a name of their own. The caller moves one when what pieces() gave is stored. A file
    is known by its first line and its head; not by its name, which rotation changes, nor by its
    inode, which a copy changes. say: told of files that cannot be read.
    """

    def __init__(self, path: Path, places: dict[str, LogPlace], say: Callable[[str], None]) -> None:
        self.path, self.places, self._say = path, places, say
        self._at = ""  # name of the place in the file that has the path now
        self._open: list[LogFile] = []  # the last one is at path
        self._seen: dict[tuple[int, int], tuple[int, int]] = {}  # files of which all is read
        self._told: set[Path] = set()

    @property
    def at(self) -> LogPlace | None:
        """The place in the file that has the path now; None: nobody has looked into it yet."""
        return self.places.get(self._at)

    def pass_older(self) -> dict[str, LogPlace]:
        """Begin for the first time: return the places at the ends of what was rotated long ago."""
        own = None
        if self.path.exists():
            with closing(LogFile(self.path)) as file:
                own = file.first_line()
        # Never empty, so that the next time is not the first.
        found = {uuid4().hex: LogPlace("")}
        for path, file in self._rotated():
            try:
                if time.time() - file.stat.st_mtime < RECENT_S:
                    continue
                if (first := file.first_line()) is not None and first != own:
                    found[uuid4().hex] = file.whole(first)
            except UNREADABLE as exc:
                self._tell(path, exc)
        self.places |= found
        return found

    def pieces(self) -> Iterator[tuple[str, Piece]]:
        """Yield what is new, with the name of its place; raise StartError."""
        self._reopen()
        for file in self._open[:-1]:
            yield from self._read(file)
            if self._is_quiet(file):
                self._open.remove(file)
                file.close()
        for path, file in self._rotated():
            known = any(os.path.samestat(file.stat, one.stat) for one in self._open)
            packing = path.suffix == ".gz" and _changed_s(file.stat.st_ctime) < PACKING_S
            if not known and not packing:
                yield from self._read(file, path)
        if self._open:
            yield from self._read(self._open[-1])

    def close(self) -> None:
        """Close all files."""
        for file in self._open:
            file.close()

    def _reopen(self) -> None:
        """Open what has the path now; a server may go on to write into what had it before."""
        try:
            now = self.path.stat()
            if not self._open or not os.path.samestat(now, self._open[-1].stat):
                self._open.append(LogFile(self.path))
        except FileNotFoundError:  # between the two steps of a rotation
            return
        except OSError as exc:
            raise StartError(f"{self.path} cannot be read: {exc.strerror or exc}") from exc

    def _read(self, file: LogFile, rotated: Path | None = None) -> Iterator[tuple[str, Piece]]:
        inode, state = _state(file)
        if self._seen.get(inode) == state:
            return
        try:
            name = self._place_of(file, growing=not rotated)
            if name is None:
                return
            if not rotated and file is self._open[-1]:
                self._at = name
            while not file.is_read(self.places[name]):
                if (piece := file.piece(self.places[name])) is None:
                    break
                yield name, piece
                if self.places[name] is not piece.after:
                    return  # not stored
        except UNREADABLE as exc:
            if not rotated:
                raise StartError(f"{self.path} cannot be read: {exc}") from exc
            self._tell(rotated, exc)
        self._seen[inode] = state

    def _place_of(self, file: LogFile, *, growing: bool) -> str | None:
        """Return the name of a file's place, a new one for a new log; None: it is too early.

        A copy may be shorter than what was read of the log: nothing of it is new then.
        """
        first = file.first_line()
        if first is None:
            return None
        wanted = digest(first)
        known = {name: place for name, place in self.places.items() if place.first == wanted}
        for name in sorted(known, key=lambda name: known[name].offset, reverse=True):
            emptied = growing and file.size() < known[name].offset
            if not emptied and file.begins_as(known[name]):
                return name
        if known and not growing and _changed_s(file.stat.st_mtime) < COPY_S:
            return None
        name = uuid4().hex
        self.places[name] = LogPlace(wanted)
        return name

    def _is_quiet(self, file: LogFile) -> bool:
        inode, state = _state(file)
        read = self._seen.get(inode) == state
        return read and _changed_s(file.stat.st_mtime) > COPY_S

    def _rotated(self) -> Iterator[tuple[Path, LogFile]]:
        """Yield the files that the log may have been rotated into, open, the oldest first."""
        begins = tuple(self.path.name + mark for mark in ".-_")
        found = []
        with os.scandir(self.path.parent) as entries:
            for entry in entries:
                name = Path(entry.path)
                if entry.name.startswith(begins) and name.suffix not in NOT_LOGS:
                    with suppress(FileNotFoundError):  # rotated on
                        if entry.is_file():
                            found.append((entry.stat().st_mtime_ns, name))
        for _, path in sorted(found):
            try:
                file = LogFile(path)
            except OSError as exc:
                self._tell(path, exc)
                continue
            with closing(file):
                yield path, file

    def _tell(self, path: Path, exc: BaseException) -> None:
        if not isinstance(exc, FileNotFoundError) and path not in self._told:
            self._told.add(path)
            self._say(f"{path} is left out: {exc}")


def _changed_s(at: float) -> float:
    """Return the seconds since a change; where the clock was set back by more, those until it.

    So a file of a later time is not waited for as if it still changed.
    """
    return abs(time.time() - at)


def _state(file: LogFile) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return which file it is, and what changes when somebody writes to it."""
    stat = file.stat
    return (stat.st_dev, stat.st_ino), (stat.st_size, stat.st_mtime_ns)
