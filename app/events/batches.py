"""A batch of records as events, what of it is rejected, and what becomes of the rest. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress
from typing import Any, NamedTuple

import numpy as np

from app.errors import RejectedError
from app.events.decoding import decode
from app.events.event import Event, message_id_of
from app.events.filler import is_filler

KNOWN_USERS_MAX = 20_000
# Not sys.intern(): Python 3.12.0 to 3.12.5 keep what it is given for ever (cpython issue 113993).
_known_users: dict[str, str] = {}


def forget_known_users() -> None:
    """Let go of users that were seen lately; they may be long."""
    _known_users.clear()


@dataclass(frozen=True)
class Slice:
    """Events of one source partition, by offset, in columns.

    times, received: event time, and the `received_at` of the table event; seconds since 1970.
    Further columns are made when they are first asked for, as several tables look at them.
    """

    events: Sequence[Event] = ()
    offsets: Sequence[int] = ()
    times: Sequence[float] = ()
    received: Sequence[float] = ()

    @cached_property
    def types(self) -> list[str]:
        """The type of each event."""
        return [event.type for event in self.events]

    @cached_property
    def users(self) -> list[str | None]:
        """The user of each event; equal ones are mostly one string, and take less memory."""
        if len(_known_users) > KNOWN_USERS_MAX:
            _known_users.clear()
        known = _known_users.setdefault
        return [
            user if (user := event.user_id) is None else known(user, user) for event in self.events
        ]

    @cached_property
    def moments(self) -> np.ndarray:
        """Float64 (events,): times."""
        return np.array(self.times, np.float64)

    @cached_property
    def seconds(self) -> np.ndarray:
        """Int64 (events,): whole seconds of times."""
        return self.moments.astype(np.int64)

    @cached_property
    def kinds(self) -> set[str]:
        """The different types."""
        return set(self.types)

    @cached_property
    def _chosen(self) -> dict[frozenset[str], list[bool]]:
        return {}

    def has_any(self, types: frozenset[str]) -> bool:
        """Return whether an event has one of some types."""
        return not self.kinds.isdisjoint(types)

    def of_types(self, types: frozenset[str]) -> list[bool]:
        """Return for each event whether it has one of some types."""
        found = self._chosen.get(types)
        if found is None:
            found = self._chosen[types] = [name in types for name in self.types]
        return found

    def between(self, begin: int, end: int) -> Slice:
        """Return the events whose offsets lie in (begin, end]; all of them with their columns."""
        offsets = self.offsets
        if not offsets or (begin < offsets[0] and offsets[-1] <= end):
            return self
        some = slice(bisect_right(offsets, begin), bisect_right(offsets, end))
        return Slice(self.events[some], self.offsets[some], self.times[some], self.received[some])

    def where(self, chosen: Sequence[bool]) -> Slice:
        """Return the events that are chosen."""
        return Slice(
            list(compress(self.events, chosen)),
            list(compress(self.offsets, chosen)),
            list(compress(self.times, chosen)),
            list(compress(self.received, chosen)),
        )

    def at(self, places: Sequence[int]) -> Slice:
        """Return the events at some places."""
        columns = self.events, self.offsets, self.times, self.received
        return Slice(*([column[place] for place in places] for column in columns))  # type: ignore[arg-type]

    @classmethod
    def joined(cls, parts: Sequence[Slice]) -> Slice:
        """Return the events of parts that follow each other."""
        if len(parts) == 1:
            return parts[0]
        columns = zip(*((p.events, p.offsets, p.times, p.received) for p in parts), strict=True)
        return cls(*(list(chain.from_iterable(column)) for column in columns))


class Verdicts(NamedTuple):
    """Events by what the rules made of them; a counted click is human too."""

    human: Slice
    bot: Slice = Slice()
    counted_click: Slice = Slice()
    duplicate: Slice = Slice()

    def between(self, begin: int, end: int) -> Verdicts:
        """Return the events whose offsets lie in (begin, end]."""
        return Verdicts(*(part.between(begin, end) for part in self))

    @classmethod
    def joined(cls, parts: Sequence[Verdicts]) -> Verdicts:
        """Return the events of parts that follow each other."""
        return cls(*(Slice.joined(some) for some in zip(*parts, strict=True)))


class Named(NamedTuple):
    """Records with a message_id, by offset, in columns; times: Kafka timestamps, ms since 1970."""

    ids: Sequence[str] = ()
    offsets: Sequence[int] = ()
    times: Sequence[int] = ()

    def between(self, begin: int, end: int) -> Named:
        """Return those with an offset of (begin, end]."""
        first, last = bisect_right(self.offsets, begin), bisect_right(self.offsets, end)
        return Named(self.ids[first:last], self.offsets[first:last], self.times[first:last])


class Decoded(NamedTuple):
    """valid: the events. rejected: (record, why). named: of the valid ones.

    fillers: see app.events.filler. duplicates: offsets of those that are known to be some; None:
    nobody has judged them yet.
    """

    valid: Slice
    rejected: list[tuple[Any, RejectedError]]
    named: Named = Named()
    fillers: Sequence[Any] = ()
    duplicates: Collection[int] | None = None


def decode_batch(batch: Sequence[Any], *, by_uuid: bool = False) -> Decoded:
    """Decode aiokafka records of one partition, or return what a PastBatch brings along.

    by_uuid: whether the uuid of an event without a message_id is one.
    """
    if (known := getattr(batch, "decoded", None)) is not None:
        return known  # type: ignore[no-any-return]
    events, offsets, received, rejected = [], [], [], []
    fillers: list[Any] = []
    for record in batch:
        recorded_ms = record.timestamp
        try:
            event = decode(record.value or b"", recorded_ms)
        except RejectedError as exc:
            if is_filler(record.value):
                fillers.append(record)
            else:
                rejected.append((record, exc))
            continue
        events.append(event)
        offsets.append(record.offset)
        at = event.received_at
        # The same float as timestamp() makes of that moment: both round the exact quotient.
        received.append(recorded_ms / 1000 if at is None else at.timestamp())
    times = [event.timestamp.timestamp() for event in events]  # type: ignore[union-attr]
    valid = Slice(events, offsets, times, received)
    return Decoded(valid, rejected, _named(batch, valid, by_uuid=by_uuid), fillers)


def _named(batch: Sequence[Any], valid: Slice, *, by_uuid: bool) -> Named:
    """Return the valid events of a batch with a message_id: mostly all of them, or none."""
    ids = (
        [message_id_of(event, by_uuid=True) for event in valid.events]
        if by_uuid
        else [event.message_id or None for event in valid.events]  # a call takes thrice as long
    )
    without = ids.count(None)
    if without == len(ids):
        return Named()
    offsets = valid.offsets
    if len(ids) == len(batch):
        times = [record.timestamp for record in batch]
    else:
        kept = set(offsets)
        times = [record.timestamp for record in batch if record.offset in kept]
    if without:
        has = [name is not None for name in ids]
        columns = ids, offsets, times
        return Named(*(list(compress(column, has)) for column in columns))
    return Named(ids, offsets, times)  # type: ignore[arg-type]
