"""Events of an exact size."""

from __future__ import annotations

import msgspec


def event_of(size: int, **fields: object) -> bytes:
    """Return an event of so many bytes that is as long in canonical form."""

    def made(length: int) -> bytes:
        return msgspec.json.encode({"type": "A", **fields, "properties": {"x": "x" * length}})

    return made(size - len(made(0)))
