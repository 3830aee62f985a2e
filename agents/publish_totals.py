"""Task publish_totals: the running total of every event type to `unique-event-topic`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from app.errors import KafkaUnavailableError
from app.events.event import TYPE_MAX_BYTES
from app.kafka.clients import KafkaClients
from app.kafka.tail import TopicTail
from app.names import Names
from app.settings import Settings
from app.transport import kafka_producer
from app.transport.ownership import Ownership
from tables.totals import Totals

TIME = "receiveAt"
NUMBER_BYTES = 24  # of a total in the message, with quotes, colon and comma
LABELS_MAX_BYTES = 150_000  # characters of types, six bytes each at worst; Kafka takes 1 MB

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def register(app: Any, totals: Totals, ownership: Ownership, settings: Settings) -> None:
    """Add the task to the app; only the owner of the totals sends."""
    topic = Names(settings.namespace).totals
    tail = TopicTail(KafkaClients.of(settings), topic)

    async def publish() -> None:
        if not ownership.owns(totals.partition_of("")):
            return
        counts = totals.read("events_by_type", "", 0, 1).get(0, {})
        # What is not in the changelog yet could be lost with this worker, and the next one would
        # publish less.
        await totals.drain()
        if is_news(counts, await tail.read()):
            message = total_message(counts, datetime.now(UTC))
            await kafka_producer(app).send_and_wait(topic, message)

    @app.task
    async def publish_totals() -> None:
        try:
            while not app.should_stop:
                await app.sleep(settings.totals_interval_s)
                try:
                    await publish()
                except KafkaUnavailableError as exc:
                    app.log.warning("totals are not published for now: %s", exc)
        finally:
            await tail.close()


def is_news(counts: dict[str, int], last: bytes | None) -> bool:
    """Whether to publish counts after the last message of the topic.

    Not when some are smaller: a worker that was frozen wakes up, and does not know yet that it was
    replaced by one that has published more.
    """
    published = _decode(last) if last else {}
    changed = False
    for label in (counts.keys() | published.keys()) - {TIME}:
        count, before = counts.get(label, 0), published.get(label, 0)
        if count < before:
            return False
        changed |= count != before
    return changed


def total_message(counts: dict[str, int], now: datetime) -> bytes:
    """Return {"<type>": total, …, "receiveAt": "2020-02-27T00:06:38UTC"} as JSON.

    Where senders made up so many types that Kafka would refuse the message: the largest totals.
    """
    if sum(len(label) + NUMBER_BYTES for label in counts) > LABELS_MAX_BYTES:
        largest = sorted(counts, key=lambda label: -counts[label])
        room = LABELS_MAX_BYTES // (TYPE_MAX_BYTES + NUMBER_BYTES)
        counts = {label: counts[label] for label in largest[:room]}
    return _encode({**counts, TIME: f"{now:%Y-%m-%dT%H:%M:%S}UTC"})
