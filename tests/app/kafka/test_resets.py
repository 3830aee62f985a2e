"""A broker that is killed while a worker writes to it, on uvloop as in every worker."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection, AIOKafkaProtocol
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from app.kafka.resets import survive_resets

RESET_AT_CLOSE = struct.pack("ii", 1, 0)


async def connected(port: int) -> Any:
    """Return a connection of aiokafka, without the handshake."""
    loop = asyncio.get_running_loop()
    connection: Any = AIOKafkaConnection("127.0.0.1", port)
    connection._versions = {3: (0, 0)}
    reader = asyncio.StreamReader()
    protocol = AIOKafkaProtocol(loop.create_future(), reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, "127.0.0.1", port)
    connection._reader = reader
    connection._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    connection._read_task = connection._create_reader_task()
    return connection


async def write_until_it_fails(connection: Any) -> Exception | None:
    """Return what the first failing write raised; None when the connection was closed before."""
    while connection._writer is not None:
        try:
            connection._writer.transport.write(b"x")
        except RuntimeError as exc:
            return exc
        await asyncio.sleep(0)
    return None


async def reset_and_send() -> None:
    """Send in the moment when uvloop has noticed the reset and aiokafka has not."""
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put(writer)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        connection = await connected(server.sockets[0].getsockname()[1])
        broker = await accepted.get()
        broker.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE
        )
        broker.transport.abort()
        assert await write_until_it_fails(connection) is not None
        with pytest.raises(KafkaConnectionError):
            connection.send(MetadataRequest([]))
        assert not connection.connected()


def test_a_write_to_a_connection_that_was_reset_is_a_lost_connection() -> None:
    survive_resets()
    uvloop.run(reset_and_send())
