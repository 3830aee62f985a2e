"""Ports on the loopback address: free ones, and the same ones again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen there now; host: IPv4, IPv6 or a name."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that nobody listens on; another process may still take it first."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


class Ports:
    """Ports by name, remembered in a file so that addresses outlive a restart."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def take(self, name: str) -> int:
        """Return the port used last time, or a new one where somebody else has it by now."""
        known: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(self._file.read_text("utf-8"))
        port = known.get(name, 0)
        while not port or not is_free(port) or port in (known[n] for n in known if n != name):
            port = free_port()
        if known.get(name) != port:
            known[name] = port
            scratch = self._file.with_suffix(".new")
            scratch.write_text(json.dumps(known), "utf-8")
            scratch.replace(self._file)
        return port


async def accepts(port: int, host: str = LOOPBACK) -> bool:
    """Return whether somebody answers there."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
