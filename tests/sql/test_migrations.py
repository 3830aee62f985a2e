"""The schema: made once by whoever comes first, and as the contract says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.counting.spec import OTHER_KEY
from app.errors import SqlMissingError
from app.stores.sql import load, load_migrations, load_queries, migrate
from tests.support.database import Database

MakeDatabase = Callable[[], Awaitable[str]]


async def test_of_many_that_migrate_at_once_one_does_it(make_database: MakeDatabase) -> None:
    dsn = await make_database()
    applied = await asyncio.gather(*(migrate(dsn) for _ in range(6)))
    assert [names for names in applied if names] == [max(applied, key=len)]
    assert await migrate(dsn) == []


def test_migrations_are_in_the_order_of_their_numbers() -> None:
    days = [[int(number) for number in name.split("-")[:4]] for name in load_migrations()]
    assert days == sorted(days)
    assert len(days) > 12
    assert max(number for *_, number in days) > 9


async def test_a_migration_that_is_missing_is_applied_to_a_filled_database(
    make_database: MakeDatabase,
) -> None:
    dsn = await make_database()
    [summary] = [name for name in await migrate(dsn) if name.endswith("event-summary")]
    database = Database(dsn)
    await database.fetch("delete from applied_migrations where name = $1", summary)
    await database.fetch("drop table event_summary, summary_positions")
    assert await migrate(dsn) == [summary]


async def test_the_tables_have_the_columns_and_keys_of_the_contract(
    make_database: MakeDatabase,
) -> None:
    dsn = await make_database()
    await migrate(dsn)
    database = Database(dsn)
    rows = await database.fetch(
        "select table_name, string_agg(column_name, ' ' order by ordinal_position) as names"
        " from information_schema.columns where table_schema = 'public' group by 1"
    )
    columns = {row["table_name"]: row["names"].split() for row in rows}
    wanted = "uuid type ip url datetime received_at user_id session_id ad_id app_name product_id"
    assert [*wanted.split(), "category", "value", "properties"] == columns["event"][:14]
    assert columns["event_summary"] == ["url", "datehour", "type", "count", "lastupdate"]
    assert columns["sink_offsets"][:3] == ["topic", "partition", "next_offset"]
    keys = await database.fetch(
        "select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint"
        " where contype = 'p'"
    )
    assert dict(keys)["event_summary"] == "PRIMARY KEY (url, datehour, type)"
    assert dict(keys)["sink_offsets"] == "PRIMARY KEY (topic, partition)"


async def test_a_query_for_a_day_reads_the_partition_of_its_month_only(
    make_database: MakeDatabase,
) -> None:
    dsn = await make_database()
    await migrate(dsn)
    database = Database(dsn)
    months = "select make_event_partitions(array['2015-05-01', '2015-06-01']::timestamptz[])"
    await database.fetch(months)
    await database.fetch(months)
    plan = await database.fetch(
        "explain select count(*) from event where datetime >= '2015-05-17' and datetime <"
        " '2015-05-18'"
    )
    text = "\n".join(row[0] for row in plan)
    assert "event_2015_05" in text
    assert "event_2015_06" not in text


def test_a_query_is_found_by_the_name_of_its_file() -> None:
    assert "on conflict" in load_queries()["summary.upsert"]


def test_an_empty_folder_of_queries_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("no SQL")
    with pytest.raises(SqlMissingError):
        load(tmp_path)
    with pytest.raises(SqlMissingError):
        load(tmp_path / "missing")


def test_all_queries_name_the_types_that_are_not_kept_in_one_way() -> None:
    named = re.compile(
        rf"case when (\$\d)::text\[\] is null or type = any\(\1\) then type else '{OTHER_KEY}' end"
    )
    texts = load_queries().values()
    many = sum(text.count(OTHER_KEY) for text in texts)
    assert sum(len(named.findall(text)) for text in texts) == many == 6
