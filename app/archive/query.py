"""SQL over the archive that can only read, and its result as text."""

from __future__ import annotations

import csv
import glob
import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, TextIO

import duckdb

from app.archive.files import Folders
from app.archive.views import connected, quoted
from app.errors import QueryError
from app.text import printable

CHUNK_ROWS = 1000
SAID_MAX = 300  # characters of what DuckDB says; it repeats what it was given
WIDTH_MAX = 60  # of a column, for its heading and alignment; longer values are not cut
NULL_SHOWN = "NULL"

ResultRows = Iterator[tuple[Any, ...]]
Print = Callable[[list[str], ResultRows, TextIO], None]


def run_query(folders: Folders, sql: str, memory_mb: int, show: Print, out: TextIO) -> None:
    """Run one SELECT and print its result; raise QueryError.

    Other files, the network and settings are out of its reach.
    """
    try:
        sql.encode()
    except UnicodeEncodeError as exc:
        raise QueryError("the statement is not UTF-8") from exc
    try:
        with (
            tempfile.TemporaryDirectory(prefix="event-counter-query-") as spill,
            connected(folders, memory_mb, Path(spill)) as connection,
        ):
            columns, rows = _execute(connection, folders, sql)
            show(columns, rows, out)
    except duckdb.Error as exc:
        raise QueryError(f"{exc}".partition("\n")[0][:SAID_MAX]) from exc


def _execute(
    connection: duckdb.DuckDBPyConnection, folders: Folders, sql: str
) -> tuple[list[str], ResultRows]:
    names = [str(folders.archive), str(folders.enriched)]
    names += map(glob.escape, names[:])  # patterns of the views are judged as they are written
    readable = ", ".join(quoted(f"{name}/") for name in names)
    connection.execute(f"set allowed_directories = [{readable}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    statements = connection.extract_statements(sql)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise QueryError("give one SELECT statement")
    result = connection.execute(statements[0])
    return [column[0] for column in result.description], _fetch(result)


def _fetch(result: duckdb.DuckDBPyConnection) -> ResultRows:
    while rows := result.fetchmany(CHUNK_ROWS):
        yield from rows


def show_table(columns: list[str], rows: ResultRows, out: TextIO) -> None:
    """Print aligned columns, as wide as the values of the first rows ask for."""
    first = [[_cell(value) for value in row] for row in islice(rows, CHUNK_ROWS)]
    heads = [printable(name) for name in columns]
    widths = [min(WIDTH_MAX, max(map(len, column))) for column in zip(heads, *first, strict=True)]
    print(_line(heads, widths), file=out)
    print("  ".join("-" * width for width in widths), file=out)
    printed = 0
    for cells in chain(first, ([_cell(value) for value in row] for row in rows)):
        print(_line(cells, widths), file=out)
        printed += 1
    print(f"({printed} {'row' if printed == 1 else 'rows'})", file=out)


def show_csv(columns: list[str], rows: ResultRows, out: TextIO) -> None:
    """Print RFC 4180 with a heading, lines ended by a line feed; nothing stands for null."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if value is None else _plain(value) for value in row])


def show_json(columns: list[str], rows: ResultRows, out: TextIO) -> None:
    """Print a JSON array with an object per row, a row a line; of equal names the later get _1."""
    columns = _distinct(columns)
    between = "["
    for row in rows:
        found = dict(zip(columns, row, strict=True))
        text = json.dumps(_finite(found), default=_plain, ensure_ascii=False)
        print(f"{between}{text}", end="", file=out)
        between = ",\n "
    print("[]" if between == "[" else "]", file=out)


def _distinct(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        free = (f"{name}_{number}" if number else name for number in count())
        found.append(next(candidate for candidate in free if candidate not in found))
    return found


def _line(cells: list[str], widths: list[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _cell(value: Any) -> str:
    """A value in a table; control characters come from strangers and stay out of a terminal."""
    return NULL_SHOWN if value is None else printable(_plain(value))


def _plain(value: Any) -> str | int | float:
    """A value as people and programs read it; times in RFC 3339."""
    plain: str | int | float
    match value:
        case date():  # a datetime is one
            plain = value.isoformat()
            if isinstance(value, datetime) and value.tzinfo is not None:
                plain = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Decimal():
            plain = int(value) if value == value.to_integral_value() else float(value)
        case list() | dict():
            plain = json.dumps(_finite(value), default=_plain, ensure_ascii=False)
        case bool():
            plain = str(value).lower()
        case bytes():
            plain = value.hex()
        case str() | int() | float():
            plain = value
        case _:
            plain = str(value)
    return plain


def _finite(value: Any) -> Any:
    """A value without NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
