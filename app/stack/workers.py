"""One worker as a child process: its settings, its start, its readiness."""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from pathlib import Path

import aiohttp

from app.settings import Role, Settings
from app.stack.child import Child
from app.stack.forked import ForkedChild, ForkServer
from app.text import url_of

STOP_DEADLINE_S = 10  # a worker ends in 1-2 s, with a hanging batch in half a session timeout
PROBE_TIMEOUT = aiohttp.ClientTimeout(total=2)
ALIVE_TIMEOUT = aiohttp.ClientTimeout(total=15)


def worker_settings(
    settings: Settings, role: Role, name: str, port: int, count_urls: str = ""
) -> Settings:
    """Return what one worker is given: its own role, name, folder and port."""
    changes: dict[str, object] = {
        "role": role,
        "worker_name": name,
        "data_dir": settings.data_dir.absolute() / name,
    }
    if role == "collect":
        changes["http_port"] = port
    else:
        changes["worker_port"] = port
    if role == "archive":  # the commands enrich and query look where the settings say
        changes["archive_dir"] = settings.archive_dir or str(settings.data_dir.absolute())
    if count_urls:
        changes["count_urls"] = count_urls
    return settings.model_copy(update=changes)


def count_worker_names(settings: Settings, cores: int) -> list[str]:
    """Return the count workers that `run` starts.

    Where no number is set, half of the cores count: the others are for Kafka, Postgres, the
    collector and the store, which have as much to do. A worker without a partition would idle.
    """
    number = settings.count_workers or max(1, min(cores // 2, settings.events_partitions))
    return [f"count-{which}" for which in range(1, number + 1)]


def reached_at(host: str, port: int) -> str:
    """Return the URL by which this machine reaches a server that listens on an address."""
    return url_of({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)


class WorkerProcess:
    """A worker process; start it again after it died."""

    def __init__(self, settings: Settings, log: Path, server: ForkServer | None = None) -> None:
        """settings: its own, see worker_settings. server: forks it; else it is started anew."""
        self.settings = settings
        self.name = settings.worker_name
        collects = settings.role == "collect"
        self.host = settings.http_host if collects else settings.worker_host
        self.port = settings.http_port if collects else settings.worker_port
        self.url = reached_at(self.host, self.port)
        place = self.name, settings.data_dir, log
        self.child = Child(*place) if server is None else ForkedChild(*place, server)

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "app.cli", "worker", "--role", self.settings.role]
        self.child.spawn(command, {**os.environ, **self.settings.to_env()})

    async def is_ready(self) -> bool:
        """Return whether GET /ready answers 200."""
        return await self._is_ok("/ready", PROBE_TIMEOUT)

    async def is_alive(self) -> bool:
        """Return whether GET /health answers 200, in a time that is long for any worker."""
        return await self._is_ok("/health", ALIVE_TIMEOUT)

    async def _is_ok(self, path: str, within: aiohttp.ClientTimeout) -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=within) as session,
                session.get(f"{self.url}{path}") as answer,
            ):
                return answer.status == HTTPStatus.OK
        except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
            return False

    async def ready(self, deadline_s: float = 60) -> None:
        """Wait until it is ready; raise StartError when it ends or takes too long."""
        await self.child.ready(self.is_ready, deadline_s)

    async def stop(self) -> None:
        """End it with SIGTERM, or by force when that takes too long."""
        await self.child.stop(STOP_DEADLINE_S)
