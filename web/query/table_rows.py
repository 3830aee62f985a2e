"""GET /rows/{counter}: all counts of a counter, by the chunk; for audit, and no page for people.

A chunk is read in one go: some 10 ms of the worker. Whoever asks goes on from where it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from time import monotonic
from typing import Any, Self

import aiohttp
import msgspec

from app.counting.counters import Counters
from app.counting.spec import FOREVER
from app.errors import (
    BadRequestError,
    NotFoundError,
    StartError,
    UnauthorizedError,
    UnavailableError,
    reason,
)
from app.settings import Settings
from app.transport.lengths import COUNT_ANEW
from tables.distinct_rows import DistinctRows
from tables.totals import Totals
from web.http import paths
from web.http.views import OK
from web.http.worker_secret import WorkerSecret
from web.query.messages import Answer, Query, post_queries
from web.query.queries import Queries

CHUNK_ROWS = 400  # of the table; each may hold a day of hours
CHUNK_COUNTS = 2000
CHUNK_BYTES = 1_000_000  # of sketches
PATIENCE_S = 60.0  # for one chunk: a worker that died is back by then
PAUSE_S = 0.3
READY_TIMEOUT = aiohttp.ClientTimeout(total=2)
REFUSED = "{url} refuses this command: set EVENT_COUNTER_WORKER_SECRET to that of the count workers"

TableCount = tuple[str, int, str, int]  # key, window start in seconds since 1970, label, count
TableSketch = tuple[str, int, str, bytes]  # the same of distinct values, with their sketch


class Chunk(msgspec.Struct, array_like=True):
    """after: key of the last row that was read, empty at the end of the partition."""

    counts: list[TableCount]
    after: bytes


class SketchChunk(msgspec.Struct, array_like=True):
    """As Chunk."""

    counts: list[TableSketch]
    after: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Chunk).decode
_decode_sketches = msgspec.msgpack.Decoder(SketchChunk).decode


def register(
    queries: Queries, totals: Totals, counters: Counters, sketches: DistinctRows | None
) -> None:
    """Add the query to those of a count worker. sketches: None without statistics."""

    def rows(query: Query) -> Answer:
        """GET ?partition=P&after=HEX&from=S&to=S -> a Chunk as MessagePack; times in seconds."""
        name, args = query.segments[-1], query.args
        if name not in counters:
            raise NotFoundError(f"no counter {name!r}; there are {', '.join(counters)}")
        try:
            partition, after = int(args["partition"]), bytes.fromhex(args.get("after", ""))
            begin, end = int(args.get("from", 0)), int(args.get("to", FOREVER))
        except (KeyError, ValueError) as exc:
            raise BadRequestError(
                f"partition, after, from or to is missing or invalid: {exc}"
            ) from exc
        if not 0 <= partition < totals.partitions:
            raise BadRequestError(f"there is no partition {partition}")
        queries.check_owner(partition, query)
        spec, found = counters.stored(name), Chunk([], b"")
        if spec.measure.is_sketch and sketches is not None:
            return _answer(_sketch_chunk(sketches.rows_after(spec, partition, after), begin, end))
        read = totals.rows_after(spec.number, partition, after)
        for number, (row, key, label, windows) in enumerate(read, 1):
            found.counts += [
                (key, start, label, count)
                for start, count in windows.items()
                if begin <= start < end
            ]
            if number == CHUNK_ROWS or len(found.counts) >= CHUNK_COUNTS:
                found.after = row
                break
        return _answer(found)

    queries.add(paths.ROWS, rows)


def _sketch_chunk(
    rows: Iterable[tuple[bytes, str, str, int, bytes]], begin: int, end: int
) -> SketchChunk:
    """Return the first rows of a counter of distinct values, and where to go on."""
    found, size = SketchChunk([], b""), 0
    for number, (row, key, label, start, sketch) in enumerate(rows, 1):
        if begin <= start < end:
            found.counts.append((key, start, label, sketch))
            size += len(sketch)
        if number == CHUNK_ROWS or size >= CHUNK_BYTES:
            found.after = row
            break
    return found


def _answer(found: Chunk | SketchChunk) -> Answer:
    return Answer(OK, _encode(found), {"Content-Type": "application/msgpack"})


class TableRows:
    """The tables of the count workers, read from outside. Use as an async context manager."""

    def __init__(self, urls: Sequence[str], partitions: int, secret: str = "") -> None:
        """urls: of count workers, any of which answers for all. partitions: of `counts`.

        secret: which they ask for, if any.
        """
        self._secret = WorkerSecret(secret)
        self._urls = [url for url in urls if url]
        self._partitions = partitions

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def retentions(self) -> dict[str, int | None]:
        """Return {declared counter: seconds that it is kept, None for good}."""
        listed = msgspec.json.decode(await self._ask("/counters"))
        return {counter["name"]: counter["retention"] for counter in listed}

    async def want_a_rebuild(self) -> bool:
        """Return whether one of them says that it cannot count before tables are rebuilt."""
        for url in self._urls:
            try:
                ready = self._session.get(url + paths.READY.path, timeout=READY_TIMEOUT)
                async with ready as answer:
                    if COUNT_ANEW in await answer.text():
                        return True
            except (aiohttp.ClientError, TimeoutError):
                continue
        return False

    async def read(
        self, counter: str, begin: int = 0, end: int = FOREVER
    ) -> AsyncIterator[list[TableCount]]:
        """Yield all counts of the windows that begin in [begin, end), seconds since 1970.

        Raises UnavailableError when no worker answers for a partition.
        """
        async for counts in self._read(counter, _decode, begin, end):
            yield counts

    async def sketches(self, counter: str, begin: int = 0) -> AsyncIterator[list[TableSketch]]:
        """Yield the same of a counter of distinct values, of the windows from begin on."""
        async for counts in self._read(counter, _decode_sketches, begin, FOREVER):
            yield counts

    async def _read(
        self, counter: str, decode: Callable[[bytes], Any], begin: int, end: int
    ) -> AsyncIterator[list[Any]]:
        for partition in range(self._partitions):
            path = f"/rows/{counter}?partition={partition}&from={begin}&to={end}&after="
            after = b""
            while True:
                chunk = decode(await self._ask(path + after.hex()))
                yield chunk.counts
                if not (after := chunk.after):
                    break

    async def _ask(self, path: str) -> bytes:
        until, problem = monotonic() + PATIENCE_S, "no count worker is known"
        while self._urls:
            for url in self._urls:
                try:
                    query = Query("GET", path)
                    (answer,) = await post_queries(self._session, url, [query], self._secret)
                except aiohttp.ClientResponseError as exc:
                    problem = f"{url}: HTTP {exc.status} {exc.message}"
                    if exc.status == UnauthorizedError.status:
                        raise StartError(REFUSED.format(url=url)) from exc
                except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as exc:
                    problem = f"{url}: {reason(exc)}"
                    continue
                if answer.status == OK:
                    return answer.body
                problem = f"{url}: {answer.body.decode('utf-8', 'replace')}"
                if answer.status < UnavailableError.status:
                    raise UnavailableError(problem)
            if monotonic() > until:
                break
            await asyncio.sleep(PAUSE_S)
        raise UnavailableError(f"no count worker answers; {problem}")


def table_rows(settings: Settings, partitions: int) -> TableRows:
    """Return the reader of the count workers that the settings name; partitions: of `counts`."""
    secret = settings.worker_secret.get_secret_value()
    return TableRows(settings.count_urls.split(","), partitions, secret)
