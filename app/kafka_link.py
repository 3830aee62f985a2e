"""The collector's connection to Kafka: one idempotent producer, replaced whenever it fails.

aiokafka repeats a batch of an idempotent producer for ever, and after a batch that failed for good
every later one of its partition is out of sequence. So a producer is given up at the first batch
that fails or is not acknowledged in time: what its callers were told is an error never reaches
Kafka behind their backs, unless it was on the wire already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.conn import collect_hosts
from aiokafka.errors import KafkaError

from app import metrics

log = logging.getLogger(__name__)

BATCH_MAX_BYTES = 512_000  # half of what Kafka takes by default; the largest event has 64 KB
RETRY_S = 0.5  # between attempts to connect
RETRY_MS = 200  # between aiokafka's attempts to send a batch, to find a leader
CONNECT_S = 10.0  # for one attempt: connections, metadata, producer id
SAY_AGAIN_S = 30.0  # before aiokafka may log the same once more


class _Rarely(logging.Filter):
    """Lets a message pass once in a while: aiokafka logs each failed attempt, ten a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._said.get(record.msg, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return False
        self._said[record.msg] = now
        return True


_rarely = _Rarely()
AIOKAFKA_LOGS = ("aiokafka", "aiokafka.conn", "aiokafka.producer.sender")


class KafkaLink:
    """Keeps one working producer; producer is None while there is none.

    leaders: the node that leads each partition, as known when the producer was made.
    """

    def __init__(self, kafka: str, topic: str, timeout_s: float) -> None:
        self.producer: AIOKafkaProducer | None = None
        self.leaders: tuple[int, ...] = ()
        self.problem = "not connected yet"
        self._kafka = kafka
        self._topic = topic
        self._timeout_s = timeout_s
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to connect, in the background: Kafka may come later."""
        for name in AIOKAFKA_LOGS:
            logging.getLogger(name).addFilter(_rarely)
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """Disconnect; nothing may be in flight any more."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        producer, self.producer = self.producer, None
        if producer is not None:
            await self._close(producer)
        await asyncio.gather(*self._closing)

    def lose(self, producer: AIOKafkaProducer, reason: str) -> None:
        """Give up a producer; the next one is made in the background."""
        if producer is self.producer:
            log.warning("Kafka %s is lost: %s; answering 503 until it is back", self._kafka, reason)
            metrics.kafka_outages.inc()
            self.producer = None
            self.problem = reason
            self._lost.set()
            closing = asyncio.get_running_loop().create_task(self._close(producer))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _keep(self) -> None:
        while True:
            self.producer = await self._connect()
            log.info("Kafka %s takes events: %s", self._kafka, self._topic)
            await self._lost.wait()
            self._lost.clear()

    async def _connect(self) -> AIOKafkaProducer:
        """Try until it works; say once what is in the way."""
        while True:
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await self._attempt()
            except (KafkaError, OSError, TimeoutError) as exc:
                reason = str(exc) or type(exc).__name__
                if reason != self.problem:
                    log.warning("Kafka %s cannot be used: %s; trying on", self._kafka, reason)
                    self.problem = reason
            await asyncio.sleep(RETRY_S)

    async def _attempt(self) -> AIOKafkaProducer:
        await self._knock()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_MAX_BYTES,
            request_timeout_ms=int(self._timeout_s * 1000),
            retry_backoff_ms=RETRY_MS,
        )
        try:
            await producer.start()
            partitions = await producer.partitions_for(self._topic)
            self.leaders = tuple(
                producer.client.cluster.leader_for_partition(TopicPartition(self._topic, number))
                for number in range(len(partitions))
            )
        except BaseException:
            await self._close(producer)
            raise
        return producer

    async def _knock(self) -> None:
        """Raise OSError while no host accepts; aiokafka would log an error at each attempt."""
        for host, port, _ in collect_hosts(self._kafka):
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError as exc:
                error = exc
            else:
                writer.close()
                return
        raise error

    async def _close(self, producer: AIOKafkaProducer) -> None:
        """Stop a producer within twice the timeout, whatever state it is in.

        Its own stop() waits for as long as batches are left. While Kafka is away that is for ever,
        so its sender is stopped first and what it did not send is forgotten.
        """
        with contextlib.suppress(Exception):
            await asyncio.wait_for(producer._sender.close(), self._timeout_s)  # noqa: SLF001
        producer._closed = True  # noqa: SLF001 - else it complains that nobody closed it
        with contextlib.suppress(Exception):
            await asyncio.wait_for(producer.client.close(), self._timeout_s)
