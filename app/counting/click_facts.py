"""The number of each ad click of a user, where earlier ones are forgotten. Pure.

A fact says how many clicks lie below an offset, whoever still knows of them. So those that are
forgotten are no gap in the count: see Clicks in app.counting.rules, which starts from such facts.
"""

from __future__ import annotations

from collections.abc import Sequence


class ClickFacts:
    """The clicks of one user on one partition, by offset.

    positions, counts: what was known before; afterwards with the facts that stand for all clicks
    that are gone, as few as tell them from those that stay.
    """

    def __init__(self, positions: Sequence[int], counts: Sequence[int]) -> None:
        self._known = list(zip(positions, counts, strict=True))
        self._next, self._number, self._joins = 0, 0, False
        self.positions: list[int] = []
        self.counts: list[int] = []

    def number(self, offset: int, *, gone: bool) -> int:
        """Return which click of the user this is, from 1 on; offsets rise."""
        while self._next < len(self._known) and self._known[self._next][0] <= offset:
            position, self._number = self._known[self._next]
            self._next += 1
            self._note(position)
        self._number += 1
        if gone:
            self._note(offset + 1)
        else:
            self._joins = False
        return self._number

    def end(self) -> None:
        """Take in what is known of later offsets."""
        for position, number in self._known[self._next :]:
            self._number = number
            self._note(position)
        self._next = len(self._known)

    def _note(self, position: int) -> None:
        if self._joins:  # no click stays between this fact and the last one
            self.positions[-1], self.counts[-1] = position, self._number
        else:
            self.positions.append(position)
            self.counts.append(self._number)
        self._joins = True
