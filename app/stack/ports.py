"""Ports on the loopback address: free ones, and the same ones again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import random
import socket
from collections import deque
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from app.errors import StartError
from app.stack.child import is_elsewhere

LOOPBACK = "127.0.0.1"
# Below the ports that systems give to outgoing connections (32768 and up): while a server of ours
# is away, nobody's connection takes its port, not even one of its own clients trying again.
FIRST, LAST = 12_000, 32_000
LET_GO_S = 2.0
FOLDER = "folder"  # beside the names of who listens
_given: deque[int] = deque(maxlen=1000)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens on an address.

    A name is looked up; raises OSError where nobody knows it.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen there now; raise OSError where that is not allowed."""
    try:
        _bind(port, host)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def check_port(port: int, host: str, setting: str) -> None:
    """Raise StartError, naming the setting, where a server could not listen."""
    try:
        _bind(port, host)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} on {host} is in use. Stop what listens there, or set {setting} "
                "to another port"
            ) from exc
        if not isinstance(exc, PermissionError):  # no such name, or none of this machine's
            setting = setting.replace("_PORT", "_HOST")
        raise StartError(f"Cannot listen on {host}, port {port}: {exc}; see {setting}") from exc


async def wait_for_port(port: int, host: str, setting: str) -> None:
    """As check_port, but wait LET_GO_S: a copy that was killed may still be letting go of it."""
    until = monotonic() + LET_GO_S
    with contextlib.suppress(OSError):  # check_port() says what it is
        while monotonic() < until and not is_free(port, host):
            await asyncio.sleep(0.05)
    check_port(port, host, setting)


def free_port() -> int:
    """Return a port that nobody listens on; another process may still take it first.

    This process is not given it again soon: who asked for it may not listen yet, or not just now.
    """
    port = _drawn()
    while port in _given or not is_free(port):
        port = _drawn()
    _given.append(port)
    return port


def _drawn() -> int:
    return random.randint(FIRST, LAST)  # noqa: S311 - not a secret


class Ports:
    """Ports by name, remembered in a file so that addresses outlive a restart.

    The file names its folder: a copy of that draws ports of its own, as those of the original may
    be free for a moment while a server of it is started again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def take(self, name: str, *, avoid: int = 0) -> int:
        """Return the port used last time, or a new one where somebody else has it by now.

        avoid: a port that is still free, but promised.
        """
        known, here = self._known(), str(self._file.parent.resolve())
        others = {port for other, port in known.items() if other != name} | {avoid}
        port: int = known.get(name, 0)
        while not port or port in others or not is_free(port):
            port = free_port()
        if (known.get(name), known.get(FOLDER)) != (port, here):
            known |= {name: port, FOLDER: here}
            scratch = self._file.with_suffix(".new")
            scratch.write_text(json.dumps(known), "utf-8")
            scratch.replace(self._file)
        return port

    def _known(self) -> dict[str, Any]:
        """Return what the file says; {} where it is another folder's, which is still there."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            known: dict[str, Any] = msgspec.json.decode(
                self._file.read_bytes(), type=dict[str, int | str]
            )
            folder = self._file.parent
            return {} if is_elsewhere(folder, known.get(FOLDER, str(folder))) else known
        return {}


async def accepts(port: int, host: str = LOOPBACK) -> bool:
    """Return whether somebody answers there."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _bind(port: int, host: str) -> None:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
