"""Events as somebody looks at them while they come: which, and in which words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.errors import RejectedError
from app.events.decoding import decode
from app.events.event import Event, at_ms
from app.events.positions import shown

FIELDS = ("type", "url", "user_id")  # that may be asked for

_encode = msgspec.json.Encoder().encode


class LookedAt(msgspec.Struct):
    """One event and where it lies."""

    position: str
    event: Event

    def matches(self, wanted: Mapping[str, str]) -> bool:
        """Whether all fields are as asked for."""
        return all(getattr(self.event, name) == value for name, value in wanted.items())

    def as_json(self) -> bytes:
        """Return {"position", "event"}."""
        return _encode(self)


def looked_at(record: Any) -> LookedAt | None:
    """Return the event of a record of `events`, None where it is rejected."""
    try:
        event = decode(record.value or b"", record.timestamp)
    except RejectedError:
        return None
    if event.received_at is None:
        event.received_at = at_ms(record.timestamp)
    return LookedAt(shown({record.partition: record.offset}), event)


def wanted_of(args: Mapping[str, str]) -> dict[str, str]:
    """Return which fields must be as given; an empty value asks for nothing."""
    return {name: value for name in FIELDS if (value := args.get(name))}
