"""A peer of the product as its own process, which says what it found in lines of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from app.stack.child import leashed

ROOT = Path(__file__).parents[2]
LINE_DEADLINE_S = 900.0


class Peer:
    """See running()."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    async def says(self, deadline_s: float = LINE_DEADLINE_S) -> dict[str, Any]:
        """Return the next thing that it says; raise SystemExit when it ends instead."""
        if self.process.stdout is None:
            raise SystemExit("the peer cannot be heard")
        while True:
            line = await asyncio.wait_for(self.process.stdout.readline(), deadline_s)
            if not line:
                raise SystemExit(f"a peer ended: {self._log.read_text('utf-8')[-2000:]}")
            _, brace, rest = line.partition(b"{")  # Faust moves the cursor first
            with contextlib.suppress(ValueError):
                found: dict[str, Any] = json.loads(brace + rest)
                return found


@contextlib.asynccontextmanager
async def running(
    program: str, log: Path, *, given: object = None, stdin: bytes = b"", environment: str = ""
) -> AsyncIterator[Peer]:
    """Run `python -m program` while inside; it may end by itself.

    given: becomes its one argument, as JSON. stdin: written to it. environment: the virtual
    environment of peers whose libraries need other versions than ours (see the Makefile).
    """
    python = Path(sys.prefix, environment, "bin", "python") if environment else Path(sys.executable)
    if not python.exists():
        raise SystemExit(f"{python} is missing; `make bench` installs it")
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *leashed([python, "-m", program, json.dumps(given)], signal.SIGKILL, "same"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            limit=2**26,
        )
    try:
        if process.stdin is not None:
            process.stdin.write(stdin)
            await process.stdin.drain()
            process.stdin.close()
        yield Peer(process, log)
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process, deadline_s: float = 10) -> None:
    """Ask it to end, kill it at the deadline."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), deadline_s)
        except TimeoutError:
            process.kill()
            await process.wait()


def say(**facts: object) -> None:
    """Say something, as a peer."""
    print(json.dumps(facts), flush=True)


def given() -> dict[str, Any]:
    """Return what this peer was given."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found
