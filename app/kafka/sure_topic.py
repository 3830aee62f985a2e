"""A way to Kafka for what must be there once, whatever happens to its acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.kafka.clients import KafkaClients
from app.kafka.session import Headers, KafkaSession, RecordBatch

SureRecord = tuple[bytes, bytes, Headers]  # key, value

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

    async def send(self, partition: int, records: Sequence[SureRecord], at_ms: int) -> None:
        """Return when all are acknowledged (acks=all); at_ms: their timestamp.

        Raises TimeoutError or KafkaError when that is not known: what the topic holds then must
        be read before anything is sent again.
        """
        async with self._lock, asyncio.timeout(PATIENCE_S):
            try:
                if self._session is None:
                    self._session = await KafkaSession.open(self._kafka, self._topic, REQUEST_S)
                for batch in _batches(partition, records, at_ms):
                    await self._session.send([batch])
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Disconnect."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _batches(partition: int, records: Sequence[SureRecord], at_ms: int) -> list[RecordBatch]:
    batches = [RecordBatch(partition)]
    for key, value, headers in records:
        if not batches[-1].append((key, value, at_ms), headers):
            batches.append(RecordBatch(partition))
            if not batches[-1].append((key, value, at_ms), headers):
                raise ValueError(f"a record of {len(value)} bytes is too large for a batch")
    return batches
