"""What comes along with each flush of the partials."""

from __future__ import annotations

from typing import Protocol


class FlushHook(Protocol):
    """What else a flush of a source partition must bring to Kafka before it may be committed."""

    async def flush(self, partition: int) -> None:
        """Send what the absorbed events of a source partition gave rise to.

        Sends go through Partials.send().
        """

    def forget(self) -> None:
        """Drop what was not sent: the events are read again."""
