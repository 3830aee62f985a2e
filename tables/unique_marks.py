"""Up to where the distinct users of each partition of `events` are merged.

In the topic `uniques` a mark follows the sketches that it speaks of; in the table one row holds
those of all partitions. A sketch begins with a number above 0, so a mark begins with 0.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import msgspec

from app.counting.row_keys import source_of_mark

SIGN = b"\0"
_SENT = struct.Struct(">BQ")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[int, int]).decode


def encode_sent(position: int) -> bytes:
    """Return the value of a mark in the topic."""
    return _SENT.pack(0, position)


def decode_record(key: bytes, value: bytes) -> tuple[int, int]:
    """Return source partition and position of a mark; raise struct.error."""
    _, position = _SENT.unpack(value)
    return source_of_mark(key), position


def encode_row(positions: Mapping[int, int]) -> bytes:
    """Return the value of the row."""
    return SIGN + _encode(dict(positions))


def decode_row(value: bytes | None) -> dict[int, int]:
    """Return {source partition: position}; value: None where there is no row."""
    return {} if value is None else _decode(value[len(SIGN) :])


def merge_rows(old: bytes, new: bytes) -> bytes:
    """Return the row that has the larger position of each partition."""
    positions = decode_row(old)
    for source, position in decode_row(new).items():
        positions[source] = max(position, positions.get(source, 0))
    return encode_row(positions)
