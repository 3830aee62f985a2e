"""Forks run and end as processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from app.stack.fork_server import Request
from app.stack.forked import ForkedChild, ForkServer
from tests.support.forked import ROOT, fork_server
from tests.support.waiting import SOON_S, wait_until

# A module of the standard library that runs the code it is given, once.
ONCE = "-m", "timeit", "-n", "1", "-r", "1"
SAYS = "import os; print(os.environ.get('OWN'), os.getpgid(0) == os.getpid(), os.getcwd())"
SLEEPS = "import time; time.sleep(600)"


@pytest.fixture
async def server() -> ForkServer:
    """Return one that is loaded."""
    assert await asyncio.wait_for(fork_server().loaded(), SOON_S), fork_server().last_words(9)
    return fork_server()


@pytest.fixture
def child(server: ForkServer, tmp_path: Path) -> Iterator[ForkedChild]:
    """Yield one that does not run yet."""
    made = ForkedChild("forked", tmp_path, tmp_path / "forked.log", server)
    yield made
    made.kill()


@pytest.mark.parametrize(("env", "own"), [({"OWN": "mine"}, "mine"), ({}, "None")])
async def test_it_has_variables_group_folder_and_log_of_its_own(
    child: ForkedChild, env: dict[str, str], own: str
) -> None:
    child.spawn([sys.executable, *ONCE, SAYS], env)
    await wait_until(child.exit_code, 0)
    assert f"{own} True {Path.cwd()}\n" in child.log.read_text("utf-8")


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("pass", 0),
        ("import os; os._exit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("1 / 0", 1),
    ],
)
async def test_how_it_ended_is_known(child: ForkedChild, code: str, ended: int) -> None:
    child.spawn([sys.executable, *ONCE, code])
    await wait_until(child.exit_code, ended)
    assert not child.alive()


async def test_signals_reach_it_and_a_kill_waits_for_its_end(child: ForkedChild) -> None:
    program = [sys.executable, *ONCE, SLEEPS]
    child.spawn(program)
    process = psutil.Process(child.pid)
    await wait_until(lambda: " ".join(process.cmdline()).strip(), " ".join(program))
    child.signal(signal.SIGSTOP)
    await wait_until(process.status, psutil.STATUS_STOPPED)
    child.signal(signal.SIGCONT)
    child.kill()
    assert child.exit_code() == -signal.SIGKILL
    assert not psutil.pid_exists(process.pid)


async def test_it_dies_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    code = f"""
import asyncio, time
from pathlib import Path
from app.stack.forked import ForkedChild, ForkServer
folder = Path({str(tmp_path)!r})
server = ForkServer(folder, folder / "server.log")
server.start()
assert asyncio.run(server.loaded())
child = ForkedChild("forked", folder, folder / "forked.log", server)
child.spawn([{sys.executable!r}, *{ONCE!r}, {SLEEPS!r}])
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen(  # noqa: ASYNC220 - it is there at once
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ
    ) as asked:
        assert asked.stdout is not None
        pid = int(asked.stdout.readline())
        assert psutil.pid_exists(pid)
        asked.kill()
        await wait_until(lambda: psutil.pid_exists(pid), expected=False)


async def test_whoever_gives_up_right_after_it_asked_leaves_nothing_and_ends_no_other(
    child: ForkedChild, server: ForkServer, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    request = Request(module=ONCE[1], arguments=[*ONCE[2:], code], env={}, folder=str(tmp_path))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with theirs, child.log.open("wb") as out:
        server.ask(request, theirs, out)
    child.spawn([sys.executable, *ONCE, "pass"])
    await wait_until(child.exit_code, 0)
    assert not pid.exists() or not psutil.pid_exists(int(pid.read_text("ascii")))


async def test_it_does_not_outlive_a_server_that_died_before_it_could_ask_for_that(
    tmp_path: Path,
) -> None:
    alive = tmp_path / "alive"
    code = f"""
import os, time
from pathlib import Path
from app.stack.fork_server import stand_alone
server = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == server:
    time.sleep(0.01)
out = os.dup(1)
try:
    stand_alone(server, out)
    Path({str(alive)!r}).touch()
finally:
    os._exit(2)
"""
    # Its output ends with the last of them.
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)  # noqa: ASYNC221
    assert not alive.exists()


async def test_where_its_server_is_away_or_hangs_it_is_a_process_of_its_own(tmp_path: Path) -> None:
    own = ForkServer(tmp_path, tmp_path / "server.log")
    made = ForkedChild("forked", tmp_path, tmp_path / "forked.log", own)
    try:
        for _ in range(2):
            made.spawn([sys.executable, *ONCE, SLEEPS])  # before it is loaded
            assert psutil.Process(made.pid).ppid() == os.getpid()
            own.start()
            assert await asyncio.wait_for(own.loaded(), SOON_S)
            made.spawn([sys.executable, *ONCE, SLEEPS])
            pid = made.pid
            assert psutil.Process(pid).ppid() == own.pid
            own.signal(signal.SIGSTOP)
            other = ForkedChild("other", tmp_path, tmp_path / "other.log", own)
            other.spawn([sys.executable, *ONCE, SLEEPS])
            assert psutil.Process(other.pid).ppid() == os.getpid()
            other.kill()
            own.kill()
            await wait_until(made.exit_code, -signal.SIGKILL)
            await wait_until(partial(psutil.pid_exists, pid), expected=False)
    finally:
        made.kill()
        own.kill()


async def test_a_server_that_cannot_fork_goes_on(tmp_path: Path) -> None:
    own = ForkServer(tmp_path, tmp_path / "server.log")
    first, other = (ForkedChild(n, tmp_path, tmp_path / f"{n}.log", own) for n in ("a", "b"))
    try:
        own.start()
        assert await asyncio.wait_for(own.loaded(), SOON_S)
        first.spawn([sys.executable, *ONCE, SLEEPS])
        server = psutil.Process(own.pid)
        most = server.rlimit(psutil.RLIMIT_NOFILE)
        server.rlimit(psutil.RLIMIT_NOFILE, (server.num_fds(), most[1]))
        other.spawn([sys.executable, *ONCE, SLEEPS])
        assert psutil.Process(other.pid).ppid() == os.getpid()
        server.rlimit(psutil.RLIMIT_NOFILE, most)
        other.kill()
        other.spawn([sys.executable, *ONCE, SLEEPS])
        assert psutil.Process(other.pid).ppid() == own.pid
        assert first.alive()
    finally:
        first.kill()
        other.kill()
        own.kill()


async def test_a_server_with_threads_forks_nothing(tmp_path: Path) -> None:
    code = "import threading as t\nt.Thread(target=t.Event().wait, daemon=True).start()"
    (tmp_path / "with_a_thread.py").write_text(code, "ascii")
    own = ForkServer(tmp_path, tmp_path / "server.log", "with_a_thread")
    made = ForkedChild("forked", tmp_path, tmp_path / "forked.log", own)
    own.start({**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"})
    try:
        assert not await asyncio.wait_for(own.loaded(), SOON_S)
        assert "Cannot fork: 2 threads" in own.last_words()
        assert own.alive()
        made.spawn([sys.executable, *ONCE, SLEEPS])
        assert psutil.Process(made.pid).ppid() == os.getpid()
    finally:
        made.kill()
        own.kill()
