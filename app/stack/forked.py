"""Processes that are forks of one that has imported everything; see fork_server.py."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from app.stack.child import POLL_S, Child
from app.stack.fork_server import MOST_BYTES, READY, Request

FORK_S = 3.0  # a fork takes some ms


class ForkServer(Child):
    """The process that forks; what it has forked dies with it, as it does with this one."""

    def __init__(self, folder: Path, log: Path, *modules: str) -> None:
        """modules: to import besides those of workers."""
        super().__init__("fork-server", folder, log)
        self._modules = modules
        self._socket: socket.socket | None = None
        self._said = b""

    def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start the process; it is not loaded yet."""
        self.spawn([sys.executable, "-m", "app.stack.fork_server", *self._modules], env)

    def launch(
        self, program: Sequence[str | Path], env: Mapping[str, str] | None, out: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Return the process; its standard input is the other end of our socket."""
        self._said = b""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._stdin = theirs.fileno()
            return super().launch(program, env, out)

    def kill(self) -> None:
        """End it at once, with all that it has forked."""
        super().kill()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def loaded(self) -> bool:
        """Return once it can fork; False where it never will."""
        while self.alive() and not self._heard():
            await asyncio.sleep(POLL_S)
        return self.can_fork()

    def can_fork(self) -> bool:
        """Return whether it can fork by now."""
        return self._heard() == READY and self.alive()

    def _heard(self) -> bytes:
        if not self._said and self._socket and select.select([self._socket], [], [], 0)[0]:
            self._said = self._socket.recv(MOST_BYTES)
        return self._said

    def ask(self, request: Request, ear: socket.socket, out: IO[bytes]) -> None:
        """Ask for a fork. ear: is told its pid, later its wait status. Raises OSError: it ended."""
        if self._socket is None:
            raise ConnectionResetError(f"{self.name} has not been started")
        fds = [ear.fileno(), out.fileno()]
        socket.send_fds(self._socket, [json.dumps(request).encode()], fds)


class Forked(subprocess.Popen[bytes]):
    """A process that was forked elsewhere, used like one of our own."""

    def __init__(self, server: ForkServer, request: Request, out: IO[bytes]) -> None:
        """out: its standard output and error. Raises OSError where the server cannot."""
        self.args = [request["module"], *request["arguments"]]
        self.returncode = None
        self._ear, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                server.ask(request, theirs, out)
            is_heard = select.select([self._ear], [], [], FORK_S)[0]
            if not (is_heard and (said := self._ear.recv(MOST_BYTES))):
                raise ConnectionResetError(f"{server.name} has ended, or hangs")
        except OSError:
            self._ear.close()  # a server that forks after that ends its fork
            raise
        self.pid = int(said)

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
            said = self._ear.recv(MOST_BYTES)  # nothing: the server has ended, and all with it
            self._ear.close()
            self.returncode = os.waitstatus_to_exitcode(int(said)) if said else -signal.SIGKILL
        return self.returncode


class ForkedChild(Child):
    """A child whose Python module has been loaded before, where the server is there."""

    def __init__(self, name: str, folder: Path, log: Path, server: ForkServer) -> None:
        super().__init__(name, folder, log)
        self._server = server

    def launch(
        self, program: Sequence[str | Path], env: Mapping[str, str] | None, out: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Fork what `python -m MODULE ARGUMENT...` would be."""
        python, option, module, *arguments = map(str, program)
        if (python, option) == (sys.executable, "-m") and self._server.can_fork():
            request = Request(
                module=module,
                arguments=arguments,
                env=dict(os.environ if env is None else env),
                folder=str(Path.cwd()),
            )
            with suppress(OSError):  # it has ended just now, or hangs
                return Forked(self._server, request, out)
        return super().launch(program, env, out)
