"""Workers of tests: forks of a process that has imported everything; see app.stack.forked."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

from app.settings import Settings
from app.stack.forked import ForkServer
from app.stack.workers import WorkerProcess

ROOT = Path(__file__).parents[2]
MODULES = "tests.support.dying_worker", "tests.support.dying_archiver"


@functools.cache
def fork_server() -> ForkServer:
    """Return the server of this process, which ends with it; until it is loaded, others help."""
    folder = Path(tempfile.mkdtemp(prefix="fork-server-"))
    server = ForkServer(folder, folder / "log", *MODULES)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("EVENT_COUNTER_")}
    server.start(inherited | {"PYTHONPATH": str(ROOT)})
    atexit.register(shutil.rmtree, folder)
    atexit.register(server.kill)  # called first
    return server


class ForkedWorker(WorkerProcess):
    """A worker for tests that are not about its start as a process."""

    def __init__(self, settings: Settings, log: Path) -> None:
        super().__init__(settings, log, fork_server())
