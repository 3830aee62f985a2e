"""Logs to import, and what event-counter import says of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

GOOD = '192.0.2.{} - - [17/May/2015:10:05:{:02} +0000] "GET /{} HTTP/1.1" 200 1 "-" "-"'
Import = Callable[..., subprocess.CompletedProcess[bytes]]


def complaints(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """Return what it says on stderr below the line about the servers that it uses."""
    using, *rest = done.stderr.decode().splitlines()
    assert using.startswith("using Kafka 127.0.0.1:")
    return rest


def log_of(count: int) -> bytes:
    return "".join(GOOD.format(n % 250, n % 60, n % 10) + "\n" for n in range(count)).encode()
