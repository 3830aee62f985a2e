"""What tables of a new version must hold before they answer: all that those before them may have.

Right after `rebuild tables` has switched over, new tables lack the last events that the old ones
counted. A figure from them would be lower than the last answer.
"""

from __future__ import annotations

from app.errors import RecoveringError
from app.events.positions import EventPositions

ANSWERED = "count workers with the tables before these have not ended yet"
BEHIND = "the new tables do not hold yet what those before them counted"


class Floor:
    """Of all tables of a worker. positions: of `events`; None: not known yet, so nobody answers."""

    def __init__(self, positions: EventPositions | None = None) -> None:
        self.positions = positions

    def known(self) -> EventPositions:
        """Return the positions; raise RecoveringError."""
        if self.positions is None:
            raise RecoveringError(ANSWERED)
        return self.positions
