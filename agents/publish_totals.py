"""Task publish_totals: the running total of every event type to `unique-event-topic`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from heapq import nlargest
from typing import Any

import msgspec

from app import metrics
from app.counting.counters import Counters
from app.errors import KafkaUnavailableError, RecoveringError
from app.events.event import TYPE_MAX_BYTES
from app.events.positions import EventPositions
from app.kafka.clients import KafkaClients
from app.kafka.tables_version import DIGITS_MAX
from app.kafka.tail import TopicTail
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.settings import Settings
from app.text import number_in
from app.transport import is_member, kafka_producer
from app.transport.ownership import Ownership
from tables.reached import Reached
from tables.totals import Totals
from tables.type_totals import TypeTotals

TIME = "receiveAt"
NUMBER_BYTES = 24  # of a total in the message, with quotes, colon and comma
LABELS_MAX_BYTES = 150_000  # characters of types, six bytes each at worst; Kafka takes 1 MB
# Header of each message. Others may write to the topic, too; and a rebuild may lower totals.
VERSION = "tables-version"

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, int | str]).decode


def register(
    app: Any, totals: Totals, counters: Counters, ownership: Ownership, settings: Settings
) -> None:
    """Add the task to the app; only the owner of the totals sends."""
    topic = Names(settings.namespace).totals
    tail = TopicTail(KafkaClients.of(settings), topic)
    succession = Succession(settings, int(app.conf.version), totals.reached)
    publisher = Publisher(app, TypeTotals(totals, counters), topic, str(app.conf.version).encode())

    async def publish() -> None:
        partition = totals.partition_of("")
        if not ownership.owns(partition):
            return
        gate = app.consumer.gate
        counts, changes = await publisher.counts(lambda: ownership.check(partition))
        # What is not in the changelog yet could be lost with this worker, and the next one would
        # publish less.
        await totals.drain()
        last = await tail.read()
        if await succession.is_due(partition, tail.headers):
            news = publisher.news(counts, changes, last, tail.headers)
            # Who was frozen since then may have been replaced by one that has published more.
            if news and await is_member(app.consumer, gate):
                await publisher.send(news)

    @app.task
    async def publish_totals() -> None:
        try:
            while not app.should_stop:
                await app.sleep(settings.totals_interval_s)
                try:
                    await publish()
                except RecoveringError:
                    continue  # its new owner publishes
                except KafkaUnavailableError as exc:
                    app.log.warning("totals cannot be published right now: %s", exc)
        finally:
            await tail.close()


class Succession:
    """Whether this version of the tables may follow the one that published last.

    Right after `rebuild tables` has switched over, the new tables lack the last events that the
    old ones counted: their totals would look as if events were gone.
    """

    def __init__(self, settings: Settings, version: int, reached: Reached) -> None:
        self._kafka, self._events = KafkaClients.of(settings), Names(settings.namespace).events
        self._version, self._reached = version, reached
        self._goal: EventPositions | None = None

    async def is_due(self, partition: int, headers: Mapping[str, bytes]) -> bool:
        """Return whether to publish; headers: of the last message. Raises KafkaUnavailableError.

        partition: of `counts`, that holds the totals.
        """
        last = version_of(headers)
        if last in (0, self._version):  # nobody, somebody else, or this version
            return True
        if last > self._version:
            return False  # it was replaced, and is about to end
        if self._goal is None:
            async with Watermarks(self._kafka) as kafka:
                self._goal = await kafka.ends(self._events)
        return self._reached.holds(partition, self._goal)


def version_of(headers: Mapping[str, bytes | None]) -> int:
    """Return the version of the tables that a message is from; 0: none of ours."""
    return number_in(headers.get(VERSION), DIGITS_MAX) or 0


class Publisher:
    """Sends the totals of all types where they are news."""

    def __init__(self, app: Any, by_type: TypeTotals, topic: str, version: bytes) -> None:
        self._app, self._by_type, self._topic, self._version = app, by_type, topic, version
        self._seen: object = None  # what was no news
        self._sent: dict[str, int] = {}
        self._strange: bytes | None = None  # that was named

    async def counts(self, check: Callable[[], None]) -> tuple[dict[str, int], int]:
        """Return the totals by type as they are now, and TypeTotals.changes of this moment.

        Later changes belong to the next message. check: see TypeTotals.read().
        """
        return dict(await self._by_type.read(check)), self._by_type.changes

    def news(
        self,
        counts: Mapping[str, int],
        changes: int,
        last: bytes | None,
        headers: Mapping[str, bytes],
    ) -> dict[str, int]:
        """Return the totals to send; empty where they are those of the last message.

        counts, changes: of counts(). last, headers: of the topic's last record.
        """
        seen = changes, last
        if seen == self._seen:
            return {}
        if last is not None and published_in(last) is None and last != self._strange:
            self._strange = last
            metrics.records_unreadable.labels(self._topic).inc()
            log.error("%s: its last record is no message of totals", self._topic)
        published = self._sent
        if headers.get(VERSION) == self._version:
            published = grown(published, published_in(last) or {})
        shown = shown_in_message(grown(published, counts))
        if shown != published:
            return shown
        self._seen = seen
        return {}

    async def send(self, news: dict[str, int]) -> None:
        """Send a message of totals."""
        await kafka_producer(self._app).send_and_wait(
            self._topic,
            total_message(news, datetime.now(UTC)),
            headers=[(VERSION, self._version)],
        )
        self._sent = news


def grown(published: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """Return the larger total of each type: one that was published is never lowered.

    A worker that was frozen wakes up, and does not know yet that it was replaced by one that has
    published more.
    """
    found = dict(published)
    for label, count in counts.items():
        if found.get(label, 0) < count:
            found[label] = count
    return found


def published_in(message: bytes | None) -> dict[str, int] | None:
    """Return {type: total} of a message; None: it is none of ours."""
    try:
        found = _decode(message or b"")
    except msgspec.MsgspecError:
        return None
    if not isinstance(found.pop(TIME, None), str):
        return None
    totals = {label: total for label, total in found.items() if isinstance(total, int)}
    return totals if len(totals) == len(found) else None


def shown_in_message(counts: dict[str, int]) -> dict[str, int]:
    """Return the totals that a message holds.

    Where senders made up so many types that Kafka would refuse the message: the largest.
    """
    counts.pop(TIME, None)  # a type of that name has no place beside the time
    if sum(len(label) + NUMBER_BYTES for label in counts) > LABELS_MAX_BYTES:
        room = LABELS_MAX_BYTES // (TYPE_MAX_BYTES + NUMBER_BYTES)
        largest = nlargest(room, counts.items(), key=lambda total: (total[1], total[0]))
        counts = dict(largest)
    return counts


def total_message(counts: Mapping[str, int], now: datetime) -> bytes:
    """Return {"<type>": total, …, "receiveAt": "2020-02-27T00:06:38UTC"} as JSON, types sorted."""
    return _encode({**dict(sorted(counts.items())), TIME: f"{now:%Y-%m-%dT%H:%M:%S}UTC"})
