"""A way to Kafka for what must be there once, whatever happens to its acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from aiokafka.errors import KafkaError

from app.kafka.clients import KafkaClients
from app.kafka.session import RETRY_S, Again, Headers, KafkaSession, RecordBatch, always

SureRecord = tuple[bytes, bytes, Headers]  # key, value
Owner = Callable[[], Awaitable[bool]]

REQUEST_S = 5.0
PATIENCE_S = 30.0


class SureTopic:
    """An idempotent producer of its own: a batch that is sent again is not stored again.

    The producer that Faust brings is not idempotent: with a broker that dies between storing and
    acknowledging, it would store twice. Connects when there is something to send.
    """

    def __init__(self, kafka: KafkaClients, topic: str) -> None:
        self._kafka, self._topic = kafka, topic
        self._session: KafkaSession | None = None
        self._lock = asyncio.Lock()

    async def send(
        self, partition: int, records: Sequence[SureRecord], at_ms: int, owner: Owner | None = None
    ) -> bool:
        """Return True when all are acknowledged (acks=all); at_ms: their timestamp.

        owner: asked before each further attempt whether the partition is still ours; False is
        returned where it is not. The time it takes is not counted: it waits while Kafka is away.
        Raises TimeoutError or KafkaError when it is not known whether they are there: what the
        topic holds then must be read before anything is sent again, also after False.
        """
        async with self._lock, asyncio.timeout(PATIENCE_S) as limit:
            again = always if owner is None else partial(_again, owner, limit)
            try:
                session = await self._opened(retry=again if owner is not None else None)
                for batch in _batches(partition, records, at_ms):
                    await session.send([batch], again)
            except _NotOursError:
                await self.close()
                return False
            except BaseException:
                await self.close()
                raise
        return True

    async def _opened(self, retry: Again | None) -> KafkaSession:
        """Return the session; nothing was sent before, so it may be tried as often as wanted."""
        while self._session is None:
            try:
                self._session = await KafkaSession.open(self._kafka, self._topic, REQUEST_S)
            except (KafkaError, OSError) as exc:
                if retry is None or not (isinstance(exc, OSError) or exc.retriable):
                    raise
                await asyncio.sleep(RETRY_S)
                await retry()
        return self._session

    async def close(self) -> None:
        """Disconnect."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class _NotOursError(Exception):
    """The partition may have another owner by now."""


async def _again(owner: Owner, limit: asyncio.Timeout) -> None:
    left = (limit.when() or 0) - asyncio.get_running_loop().time()
    limit.reschedule(None)
    if not await owner():
        raise _NotOursError
    limit.reschedule(asyncio.get_running_loop().time() + left)


def _batches(partition: int, records: Sequence[SureRecord], at_ms: int) -> list[RecordBatch]:
    batches = [RecordBatch(partition)]
    for key, value, headers in records:
        if not batches[-1].append((key, value, at_ms), headers):
            batches.append(RecordBatch(partition))
            if not batches[-1].append((key, value, at_ms), headers):
                raise ValueError(f"a record of {len(value)} bytes is too large for a batch")
    return batches
