"""enrich streams: an archive that is far larger than its memory goes through."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.archive.archive import SCHEMA
from tests.support.archive import NOON_US
from tests.support.running_copy import ROOT

FILES, ROWS = 2, 100_000
TEXT_BYTES = 2000  # of a row, once unpacked; hardly anything on disk
MEMORY_MB = 128
MOST_MB = 330  # Python with DuckDB is 90 of them; the rows in memory would be 400 more

ENRICH = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from app.archive.files import Folders
from app.archive.enrich import enrich

done = enrich(Folders(Path(sys.argv[1])), datetime.now(UTC), {MEMORY_MB})
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(done.rows, int(peak.split()[1]) // 1024)
"""


def write(base: Path) -> None:
    """Write an archive of FILES * ROWS rows, a user each, with texts that are long and differ."""
    for number in range(FILES):
        users = pc.cast(pa.array(range(number * ROWS, (number + 1) * ROWS)), pa.string())
        texts = pc.utf8_lpad(users, TEXT_BYTES, "x")
        times = pa.array([NOON_US] * ROWS, SCHEMA.field("event_time").type)
        actions = pa.array(["scroll", None] * (ROWS // 2))
        values = pa.nulls(ROWS, pa.float64())
        columns = [times, users, users, actions, texts, values]
        folder = base / f"archive/date=2026-09-{number + 1:02}"
        folder.mkdir(parents=True)
        pq.write_table(
            pa.table(columns, schema=SCHEMA), folder / "rows.parquet", row_group_size=10_000
        )


def test_an_archive_larger_than_its_memory_goes_through(tmp_path: Path) -> None:
    write(tmp_path)
    child = [sys.executable, "-c", ENRICH, str(tmp_path)]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, peak_mb = map(int, done.stdout.split())
    assert rows == FILES * ROWS == pq.read_metadata(tmp_path / "enriched/enriched.parquet").num_rows
    assert peak_mb < MOST_MB
