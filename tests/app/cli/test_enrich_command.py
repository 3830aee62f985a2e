"""`enrich` beside the enrich of role archive: it waits, and says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app.archive.files import Folders, locked
from tests.support.running_copy import ROOT, environment


def test_it_waits_for_another_enrich_and_says_so(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    folders.work.mkdir(parents=True)
    with locked(folders.work / "enrich.lock", wait_s=0):
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "enrich"],
            env=environment({"data_dir": tmp_path}),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr
        assert process.stdout
        assert process.stderr.readline() == f"using the archive in {tmp_path}\n"
        assert process.stderr.readline().startswith("another enrich is running")
        assert process.poll() is None
        assert not folders.enriched.exists()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.startswith("enriched 0 rows as of ")
    assert err == ""
    assert (folders.enriched / "enriched.parquet").exists()
