"""Answers that are made in steps: at once where they are few, else while others have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from app.errors import UnavailableError
from app.transport.ownership import Ownership
from tables.turns import InSteps, turn_of
from web.query.gather import Undisturbed
from web.query.messages import Answer

AT_ONCE = 8  # answers of many turns: a turn of each may lie before another query


class Stepwise:
    """Makes answers from tables whose partitions are ours."""

    def __init__(self, owned: Ownership) -> None:
        """owned: of any topic; the partitions of all of them move together."""
        self._owned = owned
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def answer(self, steps: InSteps[Answer]) -> Answer | Awaitable[Answer]:
        """Return what steps make, nearly always without a turn for others: that costs a task.

        Who asks has checked that the key is ours. Raises what the steps raise; the awaitable also
        RecoveringError where partitions move meanwhile or it takes too long, UnavailableError
        where AT_ONCE others take as long.
        """
        undisturbed = Undisturbed(self._owned)
        made = turn_of(steps)
        return self._go_on(steps, undisturbed) if made is None else made[0]

    async def _go_on(self, steps: InSteps[Answer], undisturbed: Undisturbed) -> Answer:
        if self._at_once.locked():
            raise UnavailableError(f"{AT_ONCE} other long answers are on their way")
        async with self._at_once:
            return await undisturbed.wait(_in_turns(steps, undisturbed))


async def _in_turns(steps: InSteps[Answer], undisturbed: Undisturbed) -> Answer:
    while True:
        await asyncio.sleep(0)
        undisturbed.check()
        if (made := turn_of(steps)) is not None:
            return made[0]
