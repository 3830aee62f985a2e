"""One child process: log file, pid file, death with its parent, bounded stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import IO, Literal

import psutil

from app.errors import StartError

User = Literal["same", "alias", "account"]
LEASH = Path(__file__).with_name("leash.py")
POLL_S = 0.05
LOG_MAX_BYTES = 20_000_000  # a log that grew beyond goes on empty, and what it held is in .1


def leashed(program: Sequence[str | Path], death_signal: signal.Signals, user: User) -> list[str]:
    """Return the command line of a program that dies with this process; see leash.py."""
    leash = [sys.executable, "-I", "-S", LEASH, os.getpid(), death_signal.value, user, "--"]
    return [*map(str, leash), *map(str, program)]


class Child:
    """A program that runs until stopped; start it again after it died.

    It gets its own process group, so that Ctrl-C in the terminal reaches only the supervisor,
    which then stops the children in order.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        log: Path,
        *,
        user: User = "same",
        death_signal: signal.Signals = signal.SIGKILL,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """folder: holds the pid file; log: output is appended there; user: see leash.py."""
        self.name = name
        self.log = log
        self.cwd: Path | None = None  # the folder it runs in; None: that of this process
        self._pid_file = folder / f"{name}.pid"
        self._user = user
        self._death_signal = death_signal
        self._stop_signal = stop_signal
        self._stdin = subprocess.DEVNULL
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid; 0 while there is no process."""
        return self._process.pid if self._process and self.alive() else 0

    def alive(self) -> bool:
        """Return whether the program runs."""
        return self._process is not None and self._process.poll() is None

    def exit_code(self) -> int | None:
        """Return what it ended with (negative: the signal), None while it runs."""
        return self._process.poll() if self._process else None

    def spawn(self, program: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start the program; what an earlier parent left running is killed first."""
        self.sweep()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.rotate_log()
        with self.log.open("ab") as out:
            self._process = self.launch(program, env, out)
        with contextlib.suppress(psutil.NoSuchProcess):
            born = psutil.Process(self._process.pid).create_time()
            here = os.fsencode(self._pid_file.parent.resolve())
            self._pid_file.write_bytes(f"{self._process.pid} {born} ".encode("ascii") + here)

    def launch(
        self, program: Sequence[str | Path], env: Mapping[str, str] | None, out: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Return the process: it writes to `out`, leads a group of its own, dies with this one."""
        return subprocess.Popen(  # noqa: S603 - our own programs
            leashed(program, self._death_signal, self._user),
            stdin=self._stdin,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=self.cwd,
            process_group=0,
        )

    def rotate_log(self, max_bytes: int = LOG_MAX_BYTES) -> None:
        """Move what a log that grew beyond holds to .1, also while the child writes.

        The child keeps its file, which it only appends to, so that is copied and emptied; a line
        written in the instant between the two is lost. Raises OSError where it cannot be copied.
        """
        try:
            if self.log.stat().st_size <= max_bytes:
                return
        except FileNotFoundError:
            return
        scratch, kept = (self.log.with_name(f"{self.log.name}.{end}") for end in ("new", "1"))
        try:
            with self.log.open("rb") as log, scratch.open("wb") as copy:
                shutil.copyfileobj(log, copy)
        except OSError:
            scratch.unlink(missing_ok=True)
            raise
        finally:  # a full disk, too, is no reason to let it grow
            os.truncate(self.log, 0)
        scratch.replace(kept)

    def sweep(self) -> None:
        """Kill what is left of an earlier start, so that its ports are free again."""
        self.kill()
        kill_leftover(self._pid_file)

    async def ready(self, probe: Callable[[], Awaitable[bool]], deadline_s: float = inf) -> None:
        """Wait until probe says so; raise StartError when the program ends or takes too long.

        Servers have no deadline: after kill -9 they read their logs, for as long as that takes.
        """
        until = time.monotonic() + deadline_s
        while not await probe():
            if not self.alive():
                raise StartError(f"{self.name} ended while starting; {self.last_words()}")
            if time.monotonic() > until:
                await self.stop(1)
                raise StartError(
                    f"{self.name} did not get ready in {deadline_s:.0f} s; {self.last_words()}"
                )
            await asyncio.sleep(POLL_S)

    def last_words(self, lines: int = 1) -> str:
        """Return where the log is and its last lines that are not a stack trace."""
        with contextlib.suppress(OSError):
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 20_000))
                tail = log.read().decode("utf-8", "replace").splitlines()
            said = [line.strip()[:300] for line in tail if line.strip() and not line[0].isspace()]
            if said:
                return f"log {self.log} ends with: {' | '.join(said[-lines:])}"
        return f"log: {self.log}"

    async def stop(self, deadline_s: float) -> None:
        """Ask it to end, kill it at the deadline; nothing to do when it is not there."""
        process = self._process
        if process is None:
            return
        self.signal(self._stop_signal)
        until = time.monotonic() + deadline_s
        while process.poll() is None and time.monotonic() < until:
            await asyncio.sleep(POLL_S)
        self.kill()
        self._pid_file.unlink(missing_ok=True)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        if self._process is not None and self.alive():
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, with all that it started in its process group."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def is_elsewhere(folder: Path, named: str) -> bool:
    """Return whether a folder is a copy of one that a file in it names; False where it moved."""
    try:
        return not folder.samefile(named)
    except FileNotFoundError:
        return False


def kill_leftover(pid_file: Path, deadline_s: float = 10) -> None:
    """Kill the process that the file names, if it is still the same one.

    And if it was started in this folder: who has copied one in use has copied the file, too.
    """
    try:
        pid, born, *folder = pid_file.read_bytes().split(maxsplit=2)
        if folder and is_elsewhere(pid_file.parent, os.fsdecode(folder[0])):  # none until 0.2.0
            return
        process = psutil.Process(int(pid))
        same = abs(process.create_time() - float(born)) < 1  # else the pid is another's by now
        if same and process.status() != psutil.STATUS_ZOMBIE:
            process.kill()
            psutil.wait_procs([process], deadline_s)
    except (OSError, ValueError, psutil.Error):
        return
