"""Reading ranges of a RocksDB in the order of their keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def scan_keys(db: Any, begin: bytes) -> Iterator[bytes]:
    """Iterate over keys from `begin` on, in order."""
    cursor = db.iter()
    cursor.seek(begin)
    while cursor.valid():
        yield cursor.key()
        cursor.next()


def scan_prefix(db: Any, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over the rows whose key begins with prefix, in order."""
    return scan_from(db, prefix, prefix)


def scan_from(db: Any, begin: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over the rows whose key begins with prefix, from `begin` on, in order."""
    cursor = db.iter()
    cursor.seek(begin)
    while cursor.valid() and (key := cursor.key()).startswith(prefix):
        yield key, cursor.value()
        cursor.next()


def scan_after(db: Any, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over the rows whose key begins with prefix, from behind a key on, in order."""
    cursor = db.iter()
    cursor.seek(max(prefix, after))
    while cursor.valid() and (key := cursor.key()).startswith(prefix):
        if key > after:
            yield key, cursor.value()
        cursor.next()
