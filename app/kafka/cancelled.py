"""A start that is cancelled leaves no connection open; aiokafka forgets the first it makes.

AIOKafkaClient.bootstrap() keeps its first connection in a variable of its own until the cluster has
answered. Cancelled there, as a stop or a timeout does, nobody can close it any more: the socket
stays open until the garbage is collected, and is no longer known to the event loop by then.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from aiokafka import client

_create_conn, _bootstrap = client.create_conn, client.AIOKafkaClient.bootstrap
# Weak: a client's own task goes on with a copy of the context.
_opened: ContextVar[WeakSet[Any]] = ContextVar("opened")


def close_cancelled() -> None:
    """Have every aiokafka client of this process do so; there is no hook for it."""
    client.create_conn, client.AIOKafkaClient.bootstrap = _noted, _closed_if_cancelled


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
