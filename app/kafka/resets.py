"""aiokafka on uvloop: a write to a connection that was just reset means a lost connection.

asyncio ignores such a write, uvloop raises a bare RuntimeError, and aiokafka expects an OSError.
So the error ends aiokafka's metadata task without a word, and each send and commit that needs
metadata afterwards waits for ever (docs/internals/decisions/batch-transport.md).
"""

from __future__ import annotations

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

_send = AIOKafkaConnection.send


def survive_resets() -> None:
    """Have every aiokafka connection of this process do so; there is no hook for it."""
    AIOKafkaConnection.send = _send_or_lose


def _send_or_lose(connection: Any, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - as aiokafka declares it
    try:
        return _send(connection, request, expect_response)
    except KafkaError:  # is a RuntimeError, too
        raise
    except RuntimeError as exc:
        connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=exc)
        raise KafkaConnectionError(f"connection broken: {exc}") from exc
