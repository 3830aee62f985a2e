"""The count workers that answer while tables are counted anew: what they count, and how far."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Protocol

from app.errors import StartError, UnavailableError
from app.kafka.table_topics import TableTopics
from app.kafka.watermarks import Offsets, Say, wait_for

POLL_S = 0.2
LIVE_S = 60.0  # for the count workers that answer: one that died is back by then
WAITING_S = 10.0  # where one says that it waits for new tables; the others may come nearer
ALONE_S = 15.0  # without a member of their group: one that died is in it for a session timeout


class Counted(Protocol):
    """What the count workers say."""

    async def retentions(self) -> dict[str, int | None]:
        """Return {declared counter: seconds that it is kept, None for good}."""
        ...

    async def want_a_rebuild(self) -> bool:
        """Return whether one of them cannot count before this is done."""
        ...


class LiveWorkers:
    """The workers of one version of the tables."""

    def __init__(
        self, counted: Counted | None, topics: TableTopics, version: int, say: Say
    ) -> None:
        """counted: None where no count worker can run."""
        self._counted, self._topics, self._version, self._say = counted, topics, version, say

    async def answered(self) -> Mapping[str, int | None] | None:
        """Return what is counted; None where no count worker runs, which a rebuild may heal."""
        if self._counted is None:
            return None
        asked = asyncio.create_task(self._counted.retentions())
        alone = asyncio.create_task(self._nobody_counts())
        try:
            await asyncio.wait((asked, alone), return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            await alone
            self._say("no count worker runs, going on with the settings of this command")
        except UnavailableError as exc:
            self._say(f"no count worker answers, going on with the settings of this command: {exc}")
        finally:
            asked.cancel()
            alone.cancel()
            await asyncio.gather(asked, alone, return_exceptions=True)
        return None

    async def _nobody_counts(self) -> None:
        """Return once the group has been empty for a while."""
        since = monotonic()
        while monotonic() - since < ALONE_S:
            if await self._topics.members(self._version):
                since = monotonic()
            await asyncio.sleep(POLL_S)

    async def committed(self, topic: str, goal: Offsets) -> None:
        """Return once they have, or stand still; raise StartError where they did not at first."""

        async def position() -> Offsets:
            return await self._topics.committed(self._version, topic)

        waiting = self._counted is not None and await self._counted.want_a_rebuild()
        patience, before = WAITING_S if waiting else LIVE_S, await position()
        try:
            await wait_for("the count workers", position, goal, patience, self._say)
        except StartError:
            if not waiting and await position() != before:
                raise  # they have come along, and may again
            self._say("the count workers stand still: going on without them")
