"""Queries that need all count workers: each answers for its partitions, the asked one merges.

An answer covers every partition of the topic exactly once, or it is 503: never a number that is
too small because a worker is away. The asked worker reads the query, and sends what it read: so
all answer for the same moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Generic, TypeVar

import aiohttp
import msgspec

from app.errors import BehindError, RecoveringError, reason
from app.transport.ownership import Ownership
from tables.reached import Reached
from web.http.paths import Call
from web.query.least import hold
from web.query.messages import Answer, Query
from web.query.queries import Queries

OK = 200
LOCAL_TIMEOUT_S = 1.8  # less than OWNER_TIMEOUT, so that the asking worker hears why

AskT = TypeVar("AskT")
PartT = TypeVar("PartT")
T = TypeVar("T")


class GatheredQuery(Generic[AskT, PartT]):
    """A query to all count workers, in three steps; AskT, PartT: what MessagePack can hold."""

    ask_type: Any
    part_type: Any

    def parse(self, query: Query) -> AskT:
        """Return what is asked; raise BadRequestError. Runs once, at the worker that is asked."""
        raise NotImplementedError

    async def local(self, ask: AskT, partitions: list[int]) -> PartT:
        """Return what these partitions of this worker know; let others run every 10 ms."""
        raise NotImplementedError

    def merge(self, ask: AskT, parts: list[PartT]) -> object:
        """Return what the answer is as JSON, or an Answer; the parts cover all partitions once."""
        raise NotImplementedError

    async def finish(self, ask: AskT, parts: list[PartT]) -> object:
        """As merge(), for one that takes longer than a turn of the loop."""
        return self.merge(ask, parts)


class Undisturbed:
    """Reading of partitions that are ours from begin to end, or RecoveringError."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership
        self._generation = ownership.generation

    def check(self) -> None:
        """Raise RecoveringError once partitions began to move."""
        if self._ownership.generation != self._generation:
            raise RecoveringError("partitions are moving to another worker")

    async def wait(self, reading: Awaitable[T]) -> T:
        """Return what is read; raise RecoveringError also where it takes too long."""
        try:
            async with asyncio.timeout(LOCAL_TIMEOUT_S):
                found = await reading
        except TimeoutError as exc:
            raise RecoveringError(f"no answer within {LOCAL_TIMEOUT_S} s") from exc
        except Exception:
            self.check()  # a table that was closed under us
            raise
        self.check()
        return found


class Gathering:
    """Adds gathered queries to those of a count worker.

    ownership: of the topic whose partitions must all be covered.
    """

    def __init__(
        self, app: Any, queries: Queries, ownership: Ownership, reached: Reached | None = None
    ) -> None:
        """reached: how far the table has come that these partitions are of."""
        self._app, self._queries, self._ownership = app, queries, ownership
        self._reached = reached

    def add(self, call: Call, kind: GatheredQuery[Any, Any]) -> None:
        """Serve a call."""

        def gathered(query: Query) -> Awaitable[Answer]:
            return self._part_answer(kind, query) if query.hops else self._answer(kind, query)

        gathered.__doc__ = kind.__doc__
        self._queries.add(call, gathered)

    async def _answer(self, kind: GatheredQuery[Any, Any], query: Query) -> Answer:
        ask = kind.parse(query)
        owners = self._ownership.owners()
        asked = (
            self._own_part(kind, ask, partitions)
            if url is None
            else self._part_of(url, kind, query, (ask, partitions))
            for url, partitions in owners.items()
        )
        parts = await asyncio.gather(*asked)
        merged = await kind.finish(ask, list(parts))
        return merged if isinstance(merged, Answer) else Answer.json(merged)

    async def _own_part(
        self, kind: GatheredQuery[Any, Any], ask: object, partitions: list[int]
    ) -> Any:
        """Return local() of partitions that were ours from begin to end."""
        undisturbed = Undisturbed(self._ownership)
        if not all(map(self._ownership.answers, partitions)):
            raise RecoveringError("partitions are moving to another worker")
        if self._reached is not None:
            for partition in partitions:
                await hold(partition, self._reached, undisturbed.check)
        return await undisturbed.wait(kind.local(ask, partitions))

    async def _part_answer(self, kind: GatheredQuery[Any, Any], query: Query) -> Answer:
        """Answer another worker."""
        asked: Any = tuple[kind.ask_type, list[int]]  # type: ignore[name-defined]
        ask, partitions = msgspec.msgpack.decode(query.body, type=asked)
        part = await self._own_part(kind, ask, partitions)
        return Answer(OK, msgspec.msgpack.encode(part), {})

    async def _part_of(
        self, url: str, kind: GatheredQuery[Any, Any], query: Query, asked: tuple[Any, list[int]]
    ) -> Any:
        """Ask another worker; raise RecoveringError when it does not answer for all it is asked."""
        there = query.further(msgspec.msgpack.encode(asked))
        try:
            (answer,) = await self._queries.post(url, [there])
            if answer.is_behind:
                raise BehindError(f"{url} has not yet merged all that was asked for")
            if answer.status != OK:
                raise RecoveringError(f"{url} answers {answer.status} for {asked[1]}")
            return msgspec.msgpack.decode(answer.body, type=kind.part_type)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as exc:
            raise RecoveringError(f"{url} does not answer for {asked[1]}: {reason(exc)}") from exc
