"""A client of an encrypted Kafka leaves, whatever the server still has to say."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.kafka.security import security_of
from app.settings import Settings
from app.stack.ports import LOOPBACK
from tests.support.secured import Authority

Run = Callable[[Coroutine[Any, Any, None]], None]


@contextmanager
def silent_server(certificate: Path) -> Iterator[int]:
    """Yield the port of a server that lets one client in, and then neither reads nor leaves."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with ExitStack() as kept, socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            kept.enter_context(context.wrap_socket(accepted, server_side=True))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def leave(run: Run, ca: Path, port: int) -> None:
    """Connect and leave; raises TimeoutError where the loop gave up waiting."""
    settings = Settings(kafka_security="SSL", kafka_ca=str(ca))

    async def connect_and_leave() -> None:
        context = security_of(settings)["ssl_context"]
        _, writer = await asyncio.open_connection("localhost", port, ssl=context)
        writer.close()
        await writer.wait_closed()

    run(connect_and_leave())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_it_does_not_wait_for_the_servers_farewell(run: Run, tmp_path: Path) -> None:
    """In a process of its own, as a worker is: there the loop is the one that is asked for."""
    authority = Authority(tmp_path / "authority")
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process,
        silent_server(authority.server) as port,
    ):
        process.submit(leave, run, authority.ca, port).result(timeout=60)
