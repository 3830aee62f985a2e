"""ad_month: figures only rise, and a month is final once it is over, whatever comes later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from app.counting.stats_window import Month
from app.stores.ad_months import AD_ID_MAX_BYTES, AdMonths
from tests.support.database import Database

OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)


class Clock:
    """A clock that stands still until told otherwise."""

    now = NOVEMBER.end - 1

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(database: Database, clock: Clock) -> Iterator[AdMonths]:
    table = AdMonths(database.dsn, clock)
    yield table
    table.close()


async def rows(database: Database) -> list[tuple[Any, ...]]:
    found = await database.fetch(
        "select month, ad_id, impressions, visitors, final from ad_month order by 1, 2"
    )
    return [tuple(row) for row in found]


async def test_two_writers_fill_the_columns_of_one_row(database: Database, table: AdMonths) -> None:
    impressions, visitors = table.sink("impressions"), table.sink("visitors")
    await impressions.write(1, [(NOVEMBER, "34", 5), (OCTOBER, "34", 2)], 17)
    await visitors.write(1, [(NOVEMBER, "34", 3), (NOVEMBER, "ü", 1)], None)
    assert await rows(database) == [
        ("2026-10", "34", 2, 0, True),
        ("2026-11", "34", 5, 3, False),
        ("2026-11", "ü", 0, 1, False),
    ]
    assert await impressions.position(1) == 17
    assert await visitors.position(1) is None
    assert await impressions.position(0) is None


async def test_a_late_writer_lowers_nothing(database: Database, table: AdMonths) -> None:
    for figure, position in ((5, 9), (3, 4), (5, 9)):
        await asyncio.gather(
            table.sink("impressions").write(0, [(NOVEMBER, "34", figure)], position),
            table.sink("visitors").write(0, [(NOVEMBER, "34", figure - 1)], position),
        )
    assert await rows(database) == [("2026-11", "34", 5, 4, False)]
    assert await table.sink("visitors").position(0) == 9


async def test_a_month_is_final_once_it_is_over_and_a_late_event_corrects_it(
    database: Database, table: AdMonths, clock: Clock
) -> None:
    sink = table.sink("impressions")
    await sink.write(0, [(NOVEMBER, "34", 5)], 1)
    await table.finish()
    assert await rows(database) == [("2026-11", "34", 5, 0, False)]
    clock.now = NOVEMBER.end
    await table.finish()  # nothing was written since
    assert await rows(database) == [("2026-11", "34", 5, 0, True)]
    await sink.write(0, [(NOVEMBER, "34", 6)], 2)
    await sink.write(0, [(NOVEMBER, "35", 1)], 3)
    assert await rows(database) == [("2026-11", "34", 6, 0, True), ("2026-11", "35", 1, 0, True)]


async def test_an_ad_id_that_fits_no_index_is_left_out(database: Database, table: AdMonths) -> None:
    longest = "".join(chr(0x1F300 + n % 700) for n in range(AD_ID_MAX_BYTES // 4))
    found = [(NOVEMBER, longest + "x", 1), (NOVEMBER, longest, 2)]
    await table.sink("visitors").write(0, found, 1)
    assert await rows(database) == [("2026-11", longest, 0, 2, False)]
