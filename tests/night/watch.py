"""What a copy needs while it runs, how far behind it is, and whether a figure ever goes down."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.night.faults import Faults
from tests.night.sender import Sender

TIMEOUT = aiohttp.ClientTimeout(total=5)
LOOK_S = 1.0
TELL_S = 30.0
LAG_MAX = 1_000_000  # records; a sender that waits for no one would measure a backlog
FREE_MIN = 8e9  # bytes of the disk
Sample = tuple[int, dict[str, int], dict[str, int]]
AWAY = (aiohttp.ClientError, OSError, TimeoutError)


class Watch:
    """samples: (events acknowledged, MB of memory by process, MB of disk by folder)."""

    def __init__(self, url: str, folder: Path, say: Callable[[str], None]) -> None:
        self._url, self._folder, self._say = url, folder, say
        self._highest: dict[str, int] = {}
        self.samples: list[Sample] = []
        self.answers = 0

    async def follow(self, faults: Faults, sender: Sender) -> None:
        """Look until cancelled; let the sender rest while somebody is far behind."""
        told = 0.0
        async with aiohttp.ClientSession(self._url, timeout=TIMEOUT) as http:
            while True:
                with suppress(*AWAY):
                    self._never_less(await _get(http, "/counts/events_by_type"))
                    lag = (await _get(http, "/stats/rates") or {}).get("lag", {})
                    if lag:
                        (sender.go.set if max(lag.values()) < LAG_MAX else sender.go.clear)()
                if asyncio.get_running_loop().time() > told + TELL_S:
                    told = asyncio.get_running_loop().time()
                    await self._sample(faults, sender, lag)
                await asyncio.sleep(LOOK_S)

    def summary(self) -> str:
        """Say the most memory of the first and of the last third, and the disk at the end."""
        third = max(1, len(self.samples) // 3)
        first, last = self.samples[:third], self.samples[-third:]
        names = sorted({name for _, memory, _ in self.samples for name in memory})
        most = [f"{name} {_most(first, name)} and {_most(last, name)} MB" for name in names]
        return f"memory in the first and last third: {', '.join(most)}; disk {self.samples[-1][2]}"

    def _never_less(self, answer: dict[str, Any] | None) -> None:
        """Compare with the largest figures that were ever shown."""
        for label, count in (answer or {"total": {}})["total"].items():
            before = self._highest.get(label, 0)
            assert count >= before, f"{label} went down from {before:,} to {count:,}"
            self._highest[label] = count
        self.answers += answer is not None

    async def _sample(self, faults: Faults, sender: Sender, lag: dict[str, int]) -> None:
        memory = {}
        with suppress(FileNotFoundError):  # while nothing runs
            for name, pid in faults.copy.pids().items():
                with suppress(psutil.NoSuchProcess):
                    memory[name] = _memory_mb(psutil.Process(pid))
        disk = await asyncio.to_thread(_disk_mb, self._folder)
        self.samples.append((sender.sent, memory, disk))
        behind = {name.removeprefix("event-counter-"): count for name, count in lag.items()}
        self._say(f"{sender.sent:,} events; behind {behind}; MB {memory}; on disk {disk}")
        assert shutil.disk_usage(self._folder).free > FREE_MIN, "the disk is nearly full"


def _most(samples: list[Sample], name: str) -> int:
    return max(memory.get(name, 0) for _, memory, _ in samples)


async def _get(http: aiohttp.ClientSession, path: str) -> dict[str, Any] | None:
    async with http.get(path) as answer:
        if answer.status != HTTPStatus.OK:
            return None
        found: dict[str, Any] = await answer.json()
        return found


def _memory_mb(process: psutil.Process) -> int:
    """Return what a process has, with those below it; each has its part of a page they share."""
    alone = {"run", "app.stack.fork_server"} & {*process.cmdline()}
    every = [process] if alone else [process, *process.children(recursive=True)]
    return int(sum(one.memory_full_info().pss for one in every) / 1e6)


def _disk_mb(folder: Path) -> dict[str, int]:
    done = subprocess.run(
        ["du", "-sm", *(str(one) for one in sorted(folder.iterdir()) if one.is_dir())],
        capture_output=True,
        text=True,
        check=False,  # files come and go
    )
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {Path(name).name: int(size) for size, name in rows}
