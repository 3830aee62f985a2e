"""Events on disk until the server has acknowledged them: they survive a kill -9 of their sender.

A folder of segments, oldest first. A segment begins with the position of the first line that is
not settled, 20 digits and a line end; the lines follow. What is written is in the page cache, so it
survives the process, and a loss of power only as far as the system had written it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Union

from event_counter_client.encoding import Entry, to_line

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

NEWLINE = 1
DIGITS = 20
HEAD = DIGITS + NEWLINE
SEGMENT_BYTES = 8_000_000  # so much is sent again at most where a position could not be read
BLOCK = 1 << 20


class SpoolError(Exception):
    """The spool cannot be used; the message says why."""


class Segment:
    """One file; done: where its first line begins that is not settled."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        size = os.fstat(self._fd).st_size
        head = os.pread(self._fd, DIGITS, 0)
        said = int(head) if size >= HEAD and head.isdigit() else HEAD
        self.done = said if HEAD <= said <= size else HEAD
        self.end, self.count = self._whole(size)
        if size < HEAD:
            self.settle(HEAD)

    def _whole(self, size: int) -> tuple[int, int]:
        """Return where the last whole line ends, and how many are not settled.

        A line without an end was never acknowledged to whoever wrote it: it is written over.
        """
        end, count, at = max(self.done, HEAD), 0, self.done
        while at < size:
            block = os.pread(self._fd, BLOCK, at)
            if newlines := block.count(b"\n"):
                count += newlines
                end = at + block.rindex(b"\n") + NEWLINE
            at += len(block)
        return end, count

    def append(self, line: bytes) -> None:
        """Write a line; raise OSError where not all of it fits."""
        text = line + b"\n"
        written = os.pwrite(self._fd, text, self.end)
        if written < len(text):
            raise OSError(f"only {written} of {len(text)} bytes could be written")
        self.end += written

    def read(self, events: int) -> list[bytes]:
        """Return the first lines that are not settled, so many at most."""
        block, at = b"", self.done
        while at < self.end and block.count(b"\n") < events:
            block += os.pread(self._fd, min(BLOCK, self.end - at), at)
            at = self.done + len(block)
        return block.split(b"\n")[:-1][:events]  # the last is empty, or cut

    def settle(self, done: int) -> None:
        """Remember the new position."""
        self.done = done
        # Not written: after a crash they are sent again, and counted as duplicates there.
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, b"%020d\n" % done, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def delete(self) -> None:
        """Close the file and remove it."""
        self.close()
        with contextlib.suppress(OSError):  # it says itself that all of it is settled
            self.file.unlink()


class Spool:
    """A Store on disk; one process at a time."""

    def __init__(self, folder: Union[str, Path]) -> None:
        self._folder = Path(folder)
        if fcntl is None:
            raise SpoolError("a spool needs POSIX file locks; this system has none")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise SpoolError(f"{self._folder} cannot be used as a spool: {exc}") from exc
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock)
            raise SpoolError(
                f"{self._folder} is the spool of another client; give each process its own"
            ) from exc
        files = sorted(self._folder.glob("*.events"))
        self._segments = [Segment(file) for file in files] or [self._new(1)]
        self.count = sum(segment.count for segment in self._segments)

    def _new(self, number: int) -> Segment:
        return Segment(self._folder / f"{number:012d}.events")

    def append(self, entry: Entry) -> None:
        """Write an event; it survives the process from then on."""
        last = self._segments[-1]
        if last.end > SEGMENT_BYTES:
            last = self._new(int(last.file.stem) + 1)
            self._segments.append(last)
        last.append(to_line(entry))
        self.count += 1

    def first(self, events: int) -> list[Entry]:
        """Return the oldest events, of one segment."""
        while len(self._segments) > 1 and self._segments[0].done == self._segments[0].end:
            self._segments.pop(0).delete()
        return [*self._segments[0].read(events)]

    def remove(self, entries: list[Entry]) -> None:
        """Settle what first() returned."""
        segment = self._segments[0]
        segment.settle(segment.done + sum(len(to_line(entry)) + NEWLINE for entry in entries))
        self.count -= len(entries)

    def close(self) -> None:
        """Close the files; the lock goes with its own."""
        for segment in self._segments:
            segment.close()
        os.close(self._lock)
