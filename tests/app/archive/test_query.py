"""SQL over the archive: what comes out, and what must not go in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.archive.archive import Archive
from app.archive.enrich import enrich
from app.archive.files import Folders
from app.archive.query import run_query, show_csv, show_json, show_table
from app.errors import QueryError
from tests.support.archive import row
from tests.support.running_copy import UGLY

MEMORY_MB = 128
PRINTERS = {"table": show_table, "csv": show_csv, "json": show_json}
Ask = Callable[..., str]

EXAMPLE = "select event_time, user_id, event_action, event_value from archive order by user_id"
AS_TABLE = """\
event_time                   user_id  event_action  event_value
---------------------------  -------  ------------  -----------
2026-09-22T12:00:00Z         1        scroll        12.0
2026-09-22T12:00:00.500000Z  2        NULL          NULL
(2 rows)
"""
AS_CSV = """\
event_time,user_id,event_action,event_value
2026-09-22T12:00:00Z,1,scroll,12.0
2026-09-22T12:00:00.500000Z,2,,
"""
AS_JSON = """\
[{"event_time": "2026-09-22T12:00:00Z", "user_id": "1", "event_action": "scroll", \
"event_value": 12.0},
 {"event_time": "2026-09-22T12:00:00.500000Z", "user_id": "2", "event_action": null, \
"event_value": null}]
"""


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Return folders with nothing in them."""
    return Folders(tmp_path)


@pytest.fixture
def ask(folders: Folders) -> Ask:
    """Return what runs SQL and returns what is printed."""

    def run(sql: str, form: str = "csv") -> str:
        out = io.StringIO()
        run_query(folders, sql, MEMORY_MB, PRINTERS[form], out)
        return out.getvalue()

    return run


@pytest.fixture
def filled(folders: Folders) -> Folders:
    """Return folders with two rows in the archive."""
    first = row("1")
    second = row("2", None, event_time=first.event_time + 500_000, event_value=None)
    Archive(folders, "events", "one").write({0: {5: first, 6: second}})
    return folders


@pytest.mark.parametrize(
    ("form", "expected"), [("table", AS_TABLE), ("csv", AS_CSV), ("json", AS_JSON)]
)
@pytest.mark.usefixtures("filled")
def test_each_form_shows_the_same_rows(form: str, expected: str, ask: Ask) -> None:
    assert ask(EXAMPLE, form) == expected


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folders, out = Folders(tmp_path / UGLY), io.StringIO()
    Archive(folders, "events", "one").write({0: {5: row("1")}})
    run_query(folders, "select user_id from archive", MEMORY_MB, show_csv, out)
    assert out.getvalue() == "user_id\n1\n"


def test_both_views_are_there_and_empty_where_nothing_was_archived(
    ask: Ask, folders: Folders
) -> None:
    head = "event_time,user_id,app_name,event_action,event_category,event_value"
    assert ask("select * from archive") == f"{head}\n"
    assert ask("from enriched") == f"{head},u_count,u_mp_ea\n"
    assert ask("from archive", "json") == "[]\n"
    assert ask("from archive", "table").endswith("\n(0 rows)\n")
    assert list(folders.archive.parent.iterdir()) == []


def test_enriched_has_the_rows_of_the_last_run(ask: Ask, filled: Folders) -> None:
    enrich(filled, datetime(2026, 9, 22, 12, 1, tzinfo=UTC), MEMORY_MB)
    found = ask("select user_id, u_count, u_mp_ea from enriched order by all")
    assert found == "user_id,u_count,u_mp_ea\n1,1,scroll\n2,1,\n"


VALUES = """select 1 as n, null as nothing, 1.50::decimal(5,2) as d, 2::hugeint as h,
    'NaN'::float as nan, ['x', null] as l, {'a': 1.5} as s, date '2026-01-01' as day, true as b,
    timestamp '2026-01-01 01:02:03' as local, 'a"b,' || chr(10) || chr(27) as text, 3 as n"""


def test_every_kind_of_value_can_be_shown(ask: Ask) -> None:
    assert json.loads(ask(VALUES, "json")) == [
        {
            "n": 1,
            "nothing": None,
            "d": 1.5,
            "h": 2,
            "nan": None,
            "l": ["x", None],
            "s": {"a": 1.5},
            "day": "2026-01-01",
            "b": True,
            "local": "2026-01-01T01:02:03",
            "text": 'a"b,\n\x1b',
            "n_1": 3,
        }
    ]
    _, values = csv.reader(io.StringIO(ask(VALUES)))
    assert values == [
        *("1", "", "1.5", "2", "nan", '["x", null]', '{"a": 1.5}', "2026-01-01", "true"),
        *("2026-01-01T01:02:03", 'a"b,\n\x1b', "3"),
    ]
    assert 'a"b,\\x0a\\x1b' in ask(VALUES, "table")


def test_a_result_larger_than_memory_comes_out_whole(ask: Ask) -> None:
    assert ask("select * from range(300000) order by hash(range)").count("\n") == 300_001


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("", "one SELECT"),
        ("selec 1", "syntax error"),
        ("select 1; select 2", "one SELECT"),
        ("select * from events", "does not exist"),
        ("select error('no')", "no"),
        ("create table t as select 1", "one SELECT"),
        ("copy archive to '{archive}/x.parquet'", "one SELECT"),
        ("explain analyze copy archive to '{archive}/x.parquet'", "one SELECT"),
        ("attach '{archive}/x.db'", "one SELECT"),
        ("set memory_limit = '1TB'", "one SELECT"),
        ("install httpfs", "one SELECT"),
        ("select * from read_csv('/etc/passwd')", "Cannot access"),
        ("select * from '/etc/passwd'", "Cannot access|does not exist"),
        ("select * from read_text('{archive}/../secret')", "Cannot access"),
        ("select * from read_parquet('https://example.net/x.parquet')", "Cannot access|disabled"),
    ],
)
def test_it_can_only_read_and_says_so_in_one_line(
    sql: str, reason: str, ask: Ask, filled: Folders
) -> None:
    (filled.archive.parent / "secret").write_text("x")
    before = sorted(filled.archive.rglob("*"))
    with pytest.raises(QueryError, match=reason) as caught:
        ask(sql.format(archive=filled.archive))
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(filled.archive.rglob("*")) == before
