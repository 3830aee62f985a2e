"""event_summary: counts only rise, and each partition remembers its position."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.errors import UnavailableError
from app.stack.postgres import LocalPostgres
from app.stores.summary import SummaryRow, SummaryWriter
from tests.support.database import Database

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[SummaryWriter]:
    """Return a writer to `database`."""
    writer = SummaryWriter(database.dsn)
    yield writer
    await writer.close()


async def counts(database: Database) -> dict[tuple[str, datetime, str], int]:
    rows = await database.fetch("select url, datehour, type, count from event_summary")
    return {(row[0], row[1], row[2]): row[3] for row in rows}


async def test_rows_and_their_position_are_written_together(
    database: Database, writer: SummaryWriter
) -> None:
    assert await writer.position(3) is None
    assert await writer.write(3, [("/a", NOON, "CLICK", 2), ("/a", NOON, "VIEW", 1)], 17)
    assert await counts(database) == {("/a", NOON, "CLICK"): 2, ("/a", NOON, "VIEW"): 1}
    assert await writer.position(3) == 17
    assert await writer.position(0) is None


async def test_a_chunk_before_the_last_leaves_the_position(writer: SummaryWriter) -> None:
    await writer.write(0, [("/a", NOON, "CLICK", 2)], None)
    assert await writer.position(0) is None
    await writer.write(0, [], 5)
    assert await writer.position(0) == 5


async def test_a_count_only_rises(database: Database, writer: SummaryWriter) -> None:
    for count, position in ((5, 10), (3, 4), (5, 10)):
        await writer.write(0, [("/a", NOON, "CLICK", count)], position)
    assert await counts(database) == {("/a", NOON, "CLICK"): 5}
    assert await writer.position(0) == 10


async def test_lastupdate_moves_only_with_the_count(
    database: Database, writer: SummaryWriter
) -> None:
    seen = []
    for count in (1, 1, 2):
        await writer.write(0, [("/a", NOON, "CLICK", count)], count)
        seen += [row[0] for row in await database.fetch("select lastupdate from event_summary")]
    assert seen[0] == seen[1] < seen[2]


async def test_the_longest_url_and_type_fit_the_key(
    database: Database, writer: SummaryWriter
) -> None:
    url = "".join(chr(0x1F300 + n % 700) for n in range(512))  # 2,048 bytes that hardly compress
    kind = "".join(chr(0x1F300 + n * 7 % 700) for n in range(63)) + "abc"  # 255 bytes
    await writer.write(0, [(url, NOON, kind, 1), ("", NOON, "", 1)], 1)
    assert await counts(database) == {(url, NOON, kind): 1, ("", NOON, ""): 1}


async def test_two_writers_of_the_same_rows_end_with_the_larger_counts(database: Database) -> None:
    async def write(order: int) -> None:
        writer = SummaryWriter(database.dsn)
        for n in range(20):
            rows: list[SummaryRow] = [(f"/{u}", NOON, "CLICK", n * u) for u in range(200)]
            try:
                await writer.write(0, rows[::order], n)
            except UnavailableError:  # a deadlock: the refresher puts the rows back
                await writer.write(0, rows[::order], n)
        await writer.close()

    await asyncio.gather(write(1), write(-1))
    assert await counts(database) == {(f"/{u}", NOON, "CLICK"): 19 * u for u in range(200)}


async def test_a_postgres_that_is_away_is_unavailable(tmp_path: Path) -> None:
    part = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    writer = SummaryWriter(await part.start())
    await writer.write(0, [("/a", NOON, "CLICK", 1)], 1)
    await part.stop()
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await writer.position(0)
        with pytest.raises(UnavailableError):
            await writer.write(0, [("/a", NOON, "CLICK", 2)], 2)
    await part.start()
    assert await writer.write(0, [("/a", NOON, "CLICK", 2)], 2)
    assert await writer.position(0) == 2
    await writer.close()
    await part.stop()


async def test_a_postgres_that_refuses_is_unavailable_too(
    database: Database, writer: SummaryWriter
) -> None:
    await writer.position(0)
    await database.fetch("alter table event_summary rename to other")  # or no right to write
    with pytest.raises(UnavailableError, match="event_summary"):
        await writer.write(0, [("/a", NOON, "CLICK", 1)], 1)
    await database.fetch("alter table other rename to event_summary")
    assert await writer.write(0, [("/a", NOON, "CLICK", 1)], 1)
