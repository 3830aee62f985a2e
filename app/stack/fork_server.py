"""A process that has imported what a worker needs, and forks one each time it is told to.

`python -m app.stack.fork_server [MODULE...]`, its standard input a socket; forked.py asks. Imports
are the larger part of what a worker costs before it is ready: 1.3 s of processor time and 60 MB. A
fork runs the worker from its first line on, with arguments, variables, folder and log of its own;
only the seed of Python's hashes is the same in all.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypedDict

from setproctitle import getproctitle, setproctitle

from app.stack.leash import die_with

MOST_BYTES = 200_000  # what Linux takes in one message
READY = b"ready"
# A fork takes no threads along; these are numpy's and pyarrow's.
NO_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
LOADED = (
    "app.factory",
    "app.kafka.watermarks",
    "app.wiring.archive",
    "app.cli.worker",
    "app.cli.faust_worker",
)


class Request(TypedDict):
    """What one process is started with: `python -m module *arguments`."""

    module: str
    arguments: list[str]
    env: dict[str, str]
    folder: str


def load(*modules: str) -> int:
    """Import what workers import, and leave it alone in all forks; return how many threads run."""
    os.environ |= NO_THREADS
    for module in (*LOADED, *modules):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # else each fork copies the pages when it looks for garbage
    getproctitle()  # finds its place, which it cannot once there is another environment
    return len(list(Path("/proc/self/task").iterdir()))


def serve(asked: socket.socket) -> Request | None:
    """Fork for each request, and tell who asked the pid and how it ended.

    Returns in each fork what it has to become, and None once nobody can ask any more.
    """
    awake, wake = socket.socketpair()
    wake.setblocking(False)  # noqa: FBT003 - its only form
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    told: dict[int, socket.socket] = {}
    server = os.getpid()
    while True:
        ready, _, _ = select.select([asked, awake], [], [])
        if awake in ready:
            awake.recv(MOST_BYTES)
            tell_ends(told)
        if asked not in ready:
            continue
        text, fds, _, _ = socket.recv_fds(asked, MOST_BYTES, 2)
        if not text:
            return None
        if (pid := fork(fds)) is None:
            continue
        ear, out = socket.socket(fileno=fds[0]), fds[1]
        if pid:
            with suppress(PermissionError):  # it is another program by now, in its own group
                os.setpgid(pid, pid)  # here, too: who asked may signal the group at once
            os.close(out)
            told[pid] = ear
            try:
                ear.send(b"%d" % pid)
            except BrokenPipeError:  # who asked has given up, and nobody else would end it
                os.kill(pid, signal.SIGKILL)
            continue
        stand_alone(server, out)
        for inherited in (asked, awake, wake, ear, *told.values()):
            inherited.close()
        request: Request = json.loads(text)
        return request


def fork(fds: list[int]) -> int | None:
    """Return os.fork(); None where there was no room for a process, or for one of two fds.

    Those are closed then: who asked finds nobody at the end of its ear.
    """
    if len(fds) > 1:
        with suppress(OSError):
            return os.fork()
    for fd in fds:
        os.close(fd)
    return None


def tell_ends(told: dict[int, socket.socket]) -> None:
    """Say how each process ended that has, as a wait status."""
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with told.pop(pid) as ear:
            try:
                ear.send(b"%d" % status)
            except BrokenPipeError:
                continue  # who asked is gone


def stand_alone(server: int, out: int) -> None:
    """Leave the server's group, signals and files behind; die with it."""
    signal.set_wakeup_fd(-1)  # first: it is the server's, which a signal of ours would wake
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    die_with(server, signal.SIGKILL.value)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(out)


def become(request: Request) -> NoReturn:
    """Run the module as `python -m` does, and end the process as that does."""
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["folder"])
    sys.argv = [request["module"], *request["arguments"]]
    setproctitle(" ".join([sys.executable, "-m", *sys.argv]))  # for ps
    code: object = 1
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as exc:
        code = exc.code or 0
    except BaseException:  # noqa: BLE001 - as Python does
        traceback.print_exc()
    if not isinstance(code, int):
        print(code, file=sys.stderr)  # noqa: T201 - as Python does
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # to take apart all that was imported takes half a second


def main() -> None:
    """Serve the socket at standard input; in a fork, be what was asked for."""
    threads = load(*sys.argv[1:])
    asked = socket.socket(fileno=os.dup(0))
    if threads > 1:  # whatever this Python starts with
        print(f"Cannot fork: {threads} threads, and one may hold what a fork needs", flush=True)  # noqa: T201
        asked.send(b"no")
    else:
        asked.send(READY)
    if request := serve(asked):
        become(request)


if __name__ == "__main__":
    main()
