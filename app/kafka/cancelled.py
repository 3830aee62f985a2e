"""A start that fails or is cancelled leaves no connection open; aiokafka forgets those it makes.

A consumer or producer that is stopped awaits tasks of its own that it has cancelled. One that has
not begun, or waits to fetch again while Kafka is away, ends cancelled, and that is a CancelledError
for who stops the client, though nobody cancelled him: a task that goes on after all other errors
would end, without a word.

AIOKafkaConnection.connect() begins to close where a broker refuses, and does not wait for the end:
uvloop cannot be closed meanwhile.

AIOKafkaClient.bootstrap() keeps its first connection in a variable of its own until the cluster has
answered. Cancelled there, as a stop or a timeout does, nobody can close it any more: the socket
stays open until the garbage is collected, and is no longer known to the event loop by then.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, client, conn

from app.lasting import apart

LEAVE_S = 1.0  # for the end of a connection that a broker refused

_create_conn, _bootstrap = client.create_conn, client.AIOKafkaClient.bootstrap
# Weak: a client's own task goes on with a copy of the context.
_opened: ContextVar[WeakSet[Any]] = ContextVar("opened")


def close_cancelled() -> None:
    """Have every aiokafka client of this process do so; there is no hook for it."""
    client.create_conn, client.AIOKafkaClient.bootstrap = _noted, _closed_if_cancelled
    conn.AIOKafkaConnection = _KafkaConnection


class KafkaConsumer(AIOKafkaConsumer):
    """Its stop() cancels nobody else."""

    _closed: bool

    async def stop(self) -> None:
        """Disconnect."""
        if self._closed:
            return
        self._closed = True
        for part in (self._coordinator, self._fetcher, self._client):
            if part is not None:
                await apart(part.close())


class KafkaProducer(AIOKafkaProducer):
    """Its stop() cancels nobody else."""

    async def stop(self) -> None:
        """Send what waits, disconnect."""
        await apart(super().stop())
        await self.client.close()  # an early end has left it open


class _KafkaConnection(conn.AIOKafkaConnection):
    async def connect(self) -> Any:
        try:
            return await super().connect()
        except BaseException:
            if self._protocol is not None:  # there was a connection
                await asyncio.wait([self._closed_fut], timeout=LEAVE_S)
            raise


async def _noted(*args: Any, **options: Any) -> Any:
    connection = await _create_conn(*args, **options)
    if (opened := _opened.get(None)) is not None:
        opened.add(connection)
    return connection


async def _closed_if_cancelled(self: client.AIOKafkaClient) -> None:
    opened: WeakSet[Any] = WeakSet()
    before = _opened.set(opened)
    try:
        await _bootstrap(self)
    except BaseException:
        for connection in opened:
            connection.close()
        raise
    finally:
        _opened.reset(before)
