"""What event-counter import says of lines that are of another format, or none of which is valid."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.support.importing import Import, complaints, log_of

FUTURE = '192.0.2.7 - - [29/Nov/2999:10:05:03 +0000] "GET /a HTTP/1.1" 200 1\n'
NEVER = '192.0.2.7 - - [31/Nov/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 1\n'
SILENT = '192.0.2.7 - - [17/May/2015:10:05:03 +0000] "-" 408 -\n'
UNTYPED = '{"url":"/a"}\n{"type":"A","timestamp":"2999-11-29T10:05:03Z"}\n'
LONG = f'{{"type":"{"a" * 40_000}"}}\n'
INVALID = "No line is valid; the first reasons are above."


def test_a_wrong_format_is_named_after_some_lines(import_files: Import, tmp_path: Path) -> None:
    lines = b'{"type":"A"}\n' * 10_000
    (tmp_path / "events.json").write_bytes(lines)
    (tmp_path / "packed.log").write_bytes(gzip.compress(log_of(3)))
    (tmp_path / "array.json").write_bytes(b'[{"type":"A"},\n{"type":"B"}]\n')
    done = import_files("events.json")
    assert (done.returncode, done.stdout) == (1, b"imported 0, rejected 10000\n")
    *first, more, last = complaints(done)
    assert [line.split(":")[1] for line in first] == [str(n) for n in range(1, 21)]
    assert more == "and 9,980 more rejected lines"
    assert last == (
        "event-counter: No line is in the format combined. It looks like ndjson: --format ndjson."
    )
    log = import_files("--format", "ndjson", "-", stdin=log_of(30))
    assert complaints(log)[-1].endswith("It looks like combined: --format combined.")
    assert complaints(import_files("packed.log"))[-1].endswith("must end with .gz.")
    assert "JSON array" in complaints(import_files("array.json"))[-1]
    mixed = import_files("-", stdin=log_of(1) + lines[:1300])
    assert (mixed.returncode, mixed.stdout) == (0, b"imported 1, rejected 100\n")
    assert complaints(mixed)[-2:] == [
        "and 80 more rejected lines",
        "most lines look like ndjson: see --format",
    ]


@pytest.mark.parametrize(
    ("line_format", "lines", "says"),
    [
        ("combined", FUTURE * 2 + NEVER, INVALID),
        ("combined", "# a comment\n" * 30 + FUTURE, INVALID),
        ("combined", SILENT * 3, INVALID),
        ("combined", UNTYPED, "No line is in the format combined. It looks like ndjson"),
        ("combined", "a\n", "No line is in the format combined; see --format."),
        ("ndjson", UNTYPED, INVALID),
        ("ndjson", LONG, INVALID),
        ("ndjson", f"[{LONG.strip()}]", "It looks like a JSON array"),
        ("ndjson", FUTURE + NEVER, "No line is in the format ndjson. It looks like combined"),
    ],
)
def test_what_is_wrong_with_all_lines_is_true(
    import_files: Import, line_format: str, lines: str, says: str
) -> None:
    done = import_files("--format", line_format, "-", stdin=lines.encode())
    assert done.returncode == 1
    assert says in complaints(done)[-1]
    assert ("is in the format" in complaints(done)[-1]) == (says != INVALID)


def test_lines_in_the_format_asked_for_look_like_no_other(import_files: Import) -> None:
    done = import_files("-", stdin=log_of(1) + FUTURE.encode() * 3)
    assert (done.returncode, done.stdout) == (0, b"imported 1, rejected 3\n")
    assert [line.split(": ")[1] for line in complaints(done)] == ["timestamp_in_future"] * 3
