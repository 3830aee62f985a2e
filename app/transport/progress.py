"""How far a partition has come: what was delivered, what is done. Pure, no Faust."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class PositionError(RuntimeError):
    """A batch was lost on its way, or fetched at a wrong position again and again."""


class Delivered(Protocol):
    """The part of a Faust message that counts here.

    tracked: a stream took it (a message that a stream skipped can be acknowledged as well).
    """

    tracked: bool
    acked: bool


class Progress:
    """An open partition.

    next: position that the next batch must start at. done: position that may be committed.
    flying: (message, or None where a fetch held no records; position after it), in order.
    """

    __slots__ = ("done", "flying", "misses", "next")

    def __init__(self, position: int) -> None:
        self.next = self.done = position
        self.flying: deque[tuple[Delivered | None, int]] = deque()
        self.misses = 0

    def advance(self) -> int:
        """Return the end of the acknowledged prefix; raise PositionError if a batch got lost."""
        taken = [message.tracked for message, _ in self.flying if message is not None]
        if False in taken and True in taken[taken.index(False) :]:
            raise PositionError("a delivered batch was lost before its stream took it")
        while self.flying:
            message, after = self.flying[0]
            if message is not None and not (message.acked and message.tracked):
                break
            self.done = after
            self.flying.popleft()
        return self.done

    def busy(self) -> bool:
        """Whether an agent holds a batch that it has not acknowledged."""
        return any(m is not None and m.tracked and not m.acked for m, _ in self.flying)

    def ahead(self) -> bool:
        """Whether an agent has seen more than what is done."""
        return any(m is not None and m.tracked for m, _ in self.flying)
