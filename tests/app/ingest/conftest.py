"""What the tests of this room share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.names import Names
from app.settings import Settings
from tests.support.collector_topics import collector_topics
from tests.support.importing import Import
from tests.support.running_copy import ROOT, environment


@pytest.fixture
async def topics(settings: Settings) -> Names:
    """Return the names of the topics; only those of a collector and of commands exist."""
    return await collector_topics(settings)


@pytest.fixture
def import_files(settings: Settings, topics: Names, tmp_path: Path) -> Import:
    """Return a function that runs the command in tmp_path."""
    assert topics

    def run(*arguments: str, stdin: bytes = b"", **changes: Any) -> Any:
        given = {"kafka": settings.kafka, "namespace": settings.namespace} | changes
        return subprocess.run(
            [sys.executable, "-m", "app.cli", "import", *arguments],
            env={**environment(given), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )

    return run
