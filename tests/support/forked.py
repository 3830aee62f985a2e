"""Workers that are forks of a process which has imported everything; see zygote.py."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from app.settings import Settings
from app.stack.child import Child
from app.stack.workers import WorkerProcess
from tests.support.zygote import MOST_BYTES, Request

ROOT = Path(__file__).parents[2]


@functools.cache
def zygote() -> socket.socket:
    """Return the socket that takes requests; the process behind it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("EVENT_COUNTER_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.zygote"],
        stdin=theirs.fileno(),
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": str(ROOT)},
        process_group=0,  # Ctrl-C is for pytest
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    assert ours.recv(MOST_BYTES), "tests.support.zygote ended"
    return ours


class Forked(subprocess.Popen[bytes]):
    """A process that was forked elsewhere, used like one of our own."""

    def __init__(self, request: Request, out: IO[bytes]) -> None:
        """out: its standard output and error."""
        self.args = [request["module"], *request["arguments"]]
        self.returncode = None
        self._ear, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            fds = [theirs.fileno(), out.fileno()]
            socket.send_fds(zygote(), [json.dumps(request).encode()], fds)
        self.pid = int(self._heard_of())

    def poll(self) -> int | None:
        """Return what it ended with (negative: the signal), None while it runs."""
        return self._heard(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return what it ended with; raise TimeoutExpired after so many seconds."""
        code = self._heard(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _heard(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ear], [], [], timeout)[0]:
            status = self._heard_of()
            self._ear.close()
            self.returncode = os.waitstatus_to_exitcode(int(status))
        return self.returncode

    def _heard_of(self) -> bytes:
        said = self._ear.recv(MOST_BYTES)
        assert said, "tests.support.zygote ended"
        return said


class ForkedChild(Child):
    """A child whose Python module has been loaded before."""

    def launch(
        self, program: Sequence[str | Path], env: Mapping[str, str] | None, out: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Fork what `python -m MODULE ARGUMENT...` would be."""
        python, option, module, *arguments = map(str, program)
        assert (python, option) == (sys.executable, "-m"), program
        given = dict(os.environ if env is None else env)
        return Forked(
            {"module": module, "arguments": arguments, "env": given, "folder": str(Path.cwd())}, out
        )


class ForkedWorker(WorkerProcess):
    """A worker for tests that are not about its start as a process."""

    def __init__(self, settings: Settings, log: Path) -> None:
        super().__init__(settings, log)
        self.child = ForkedChild(self.name, settings.data_dir, log)
