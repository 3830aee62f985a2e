"""`event-counter run` as a process of its own, as a person would start it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
# A folder may be called so: not ASCII; what separates, quotes or expands in a list, a configuration
# file, a shell, SQL or a pattern; what Python takes for the end of a line.
UGLY = "zä,h:'\"# %d {x}$y*[0]!;=\u2028 "
GONE_S = 30.0  # killed processes are gone at once where nobody else works


def command_line(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run `event-counter ARGUMENTS` to its end; settings: names without EVENT_COUNTER_."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=environment(settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def environment(settings: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a process with these settings and no other of ours."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("EVENT_COUNTER_")}
    settings = {"count_workers": 1} | settings  # whatever machine this is
    own = {f"EVENT_COUNTER_{name.upper()}": str(value) for name, value in settings.items()}
    return {**inherited, **own, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


class RunningCopy:
    """One `event-counter run`; see running_copy."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.url = f"http://127.0.0.1:{settings['http_port']}"
        self.log = Path(settings["data_dir"]).with_suffix(".out")
        with self.log.open("ab") as out:
            self._begin = out.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "run"],
                env=environment(settings),
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def said(self) -> str:
        """Return what this start printed so far."""
        with self.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode()

    async def ready(self, deadline_s: float = 90) -> None:
        """Wait until it says that it is ready."""

        def state() -> str:
            assert self._process.poll() is None, self.said()
            return self.said()

        await wait_until(state, lambda text: "Ready after" in text, deadline_s=deadline_s)

    def status(self) -> dict[str, Any]:
        """Return what `event-counter status --json` prints."""
        done = command_line("status", "--json", **self.settings)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def pid_of(self, name: str) -> int:
        """Return the pid of a worker or part."""
        return self.pids()[name]

    def pids(self) -> dict[str, int]:
        """Return the pids of workers and parts, and of what runs them, by name."""
        facts = json.loads((Path(self.settings["data_dir"]) / "run.json").read_text("utf-8"))
        return {unit["name"]: unit["pid"] for unit in facts["processes"]}

    def family(self) -> list[psutil.Process]:
        """Return the process and all below it."""
        own = psutil.Process(self._process.pid)
        return [own, *own.children(recursive=True)]

    async def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, wait for the end, return the exit code."""
        self._process.send_signal(number)
        return await asyncio.to_thread(self._process.wait, 180)

    def kill_everything(self) -> None:
        """Kill -9 of the process and all below it, in no order; their ports are free afterwards."""
        family = self.family()
        for process in family:
            with suppress(psutil.NoSuchProcess):  # children die with their parent
                process.kill()
        self._process.wait()
        until = time.monotonic() + GONE_S
        while not all(map(_is_gone, family)) and time.monotonic() < until:
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill -9 of the process alone."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Kill it with all below it, if it is still there."""
        if self._process.poll() is None:
            self.kill_everything()


def _is_gone(process: psutil.Process) -> bool:
    """Whether it holds no port any more; who should bury it may take its time."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@contextmanager
def running_copy(**settings: Any) -> Iterator[RunningCopy]:
    """Start a copy; settings: names without EVENT_COUNTER_, data_dir and http_port among them."""
    copy = RunningCopy(**settings)
    try:
        yield copy
    finally:
        copy.end()


def is_gone(process: psutil.Process) -> bool:
    """Return whether it has ended; who adopted it may not have noticed yet."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
