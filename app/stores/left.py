"""What a sink was left as, so that one that was put back or emptied is noticed."""

from __future__ import annotations

from typing import Generic, TypeVar

Left = TypeVar("Left")


class LeftStates(Generic[Left]):
    """The state of each partition's position in a sink."""

    def __init__(self) -> None:
        self._known: dict[int, Left] = {}
        self._tried: dict[int, Left] = {}
        self._same: dict[int, bool] = {}

    def find(self, partition: int, state: Left) -> None:
        """Note what is there now."""
        expected = [states[partition] for states in self._all() if partition in states]
        self._same[partition] = state in expected
        self.leave(partition, state)

    def is_same(self, partition: int) -> bool:
        """Whether what was found last is what was left before, or what a lost answer was about."""
        return self._same.get(partition, False)

    def known(self, partition: int, default: Left) -> Left:
        """Return what was left or found last."""
        return self._known.get(partition, default)

    def attempt(self, partition: int, state: Left) -> None:
        """Note what a write is about to leave."""
        self._tried[partition] = state

    def leave(self, partition: int, state: Left) -> None:
        """Note what a write has left."""
        self._known[partition] = state
        self._tried.pop(partition, None)

    def commit(self, partition: int) -> None:
        """Note that the write has left what it was about to."""
        self.leave(partition, self._tried[partition])

    def _all(self) -> tuple[dict[int, Left], dict[int, Left]]:
        return self._known, self._tried
