"""What event-counter import says of lines that are of another format, or none of which is valid."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.support.importing import Import, complaints, log_of


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
