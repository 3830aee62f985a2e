"""A file of a log, packed or not: its first line, its head, and the lines behind a place."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import zlib
from codecs import BOM_UTF8
from pathlib import Path
from typing import NamedTuple

import msgspec

from app.ingest.importer import LINE_MAX_BYTES

READ_BYTES = 2_000_000  # at once
HEAD_BYTES = 65_536  # by which a log is known again, where several have the same first line
PACKED_SIZE = 1 << 32  # a .gz says how long its text is modulo this (RFC 1952)
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # in no text: packed by something else
UNREADABLE = (OSError, EOFError, zlib.error)


class LogPlace(msgspec.Struct, frozen=True):
    """How far a log was read, in bytes and lines of its text.

    first: hash of its first line. head: hash of its first bytes, as many as head_size says.
    """

    first: str
    offset: int = 0
    lines: int = 0
    head: str = ""
    head_size: int = 0


class Piece(NamedTuple):
    """Lines that nobody has read, (number, text without its end), and the place behind them."""

    first: bytes
    lines: list[tuple[int, bytes]]
    after: LogPlace


class LogFile:
    """An open file of a log, packed or not; it may move, grow and shrink."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._raw = path.open("rb", buffering=0)
        self._packed = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else None
        self._first: bytes | None = None  # of a packed one

    def close(self) -> None:
        """Close it."""
        self._raw.close()

    @property
    def stat(self) -> os.stat_result:
        """What the system says of it now."""
        return os.fstat(self._raw.fileno())

    def read(self, offset: int, size: int) -> bytes:
        """Return size bytes of its text from offset on, fewer at its end; raise UNREADABLE."""
        if self._packed is None:
            return os.pread(self._raw.fileno(), size, offset)
        self._packed.seek(offset)
        return self._packed.read(size)

    def first_line(self) -> bytes | None:
        """Return its first line without its end; None while it is cut off, or where it is no text.

        As app.ingest.importer.read_lines() has it.
        """
        if self._first is not None:
            return self._first
        begun, newline, _ = self.read(0, LINE_MAX_BYTES + 2).partition(b"\n")
        if CONTROL.search(begun) or not (newline or len(begun) > LINE_MAX_BYTES):
            return None
        first = begun.rstrip(b"\r").removeprefix(BOM_UTF8)
        if self._packed is not None:
            self._first = first
        return first

    def size(self) -> int:
        """Return how long its text is; of a packed one modulo PACKED_SIZE."""
        size = self.stat.st_size
        if self._packed is None:
            return size
        return int.from_bytes(os.pread(self._raw.fileno(), 4, max(0, size - 4)), "little")

    def is_read(self, place: LogPlace) -> bool:
        """Whether all of a packed file is read, without unpacking it."""
        return self._packed is not None and self.size() == place.offset % PACKED_SIZE

    def begins_as(self, place: LogPlace) -> bool:
        """Whether its head is that of the log of a place."""
        return digest(self.read(0, place.head_size)) == place.head if place.head else True

    def whole(self, first: bytes) -> LogPlace:
        """Return the place at its end."""
        head = self.read(0, HEAD_BYTES)
        return LogPlace(digest(first), self.size(), 0, digest(head), len(head))

    def piece(self, place: LogPlace) -> Piece | None:
        """Return the whole lines behind a place, up to READ_BYTES of them; None for none."""
        first = self.first_line()
        data = self.read(place.offset, READ_BYTES)
        length = data.rfind(b"\n") + 1
        if first is None or digest(first) != place.first or not data:
            return None
        if length:
            texts = data[:length].split(b"\n")[:-1]
        elif length := self._long_line(place.offset, data):
            texts = [data]
        else:
            return None
        lines = [
            (number, text[: LINE_MAX_BYTES + 2].rstrip(b"\r"))
            for number, text in enumerate(texts, place.lines + 1)
        ]
        if not place.offset:
            lines[0] = 1, first
        after = self._moved(place, length, len(lines))
        # It may have been emptied and filled anew between two readings.
        return Piece(first, lines, after) if self.first_line() == first else None

    def _moved(self, place: LogPlace, length: int, lines: int) -> LogPlace:
        offset, head, size = place.offset + length, place.head, place.head_size
        if size < HEAD_BYTES:
            size = min(offset, HEAD_BYTES)
            head = digest(self.read(0, size))
        return LogPlace(place.first, offset, place.lines + lines, head, size)

    def _long_line(self, offset: int, data: bytes) -> int:
        """Return how long a line is that does not end in data; 0: nor in the file."""
        length = len(data)
        while block := self.read(offset + length, READ_BYTES):
            if found := block.find(b"\n") + 1:
                return length + found
            length += len(block)
        return 0


def digest(text: bytes) -> str:
    """Return a hash of 128 bits."""
    return hashlib.sha256(text).hexdigest()[:32]
