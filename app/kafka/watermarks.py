"""How far topics reach and groups have come: what all sides of a comparison have seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from time import monotonic
from typing import Any, Self

from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from app.errors import KafkaAccessError, StartError
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.groups import committed, members_of

POLL_S = 0.2
Offsets = dict[int, int]  # by partition
Say = Callable[[str], None]


class Watermarks:
    """Asks one Kafka cluster. Use as an async context manager; raises KafkaUnavailableError."""

    def __init__(self, kafka: KafkaClients) -> None:
        self._kafka = kafka
        self._admin = kafka.admin()
        # The end is that of the last transaction that is over: nobody reads beyond.
        self._consumer = kafka.consumer(isolation_level="read_committed")

    async def __aenter__(self) -> Self:
        try:
            await self._ask(self._kafka.knock())
            await self._ask(self._admin.start())
            await self._ask(self._consumer.start())
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def ends(self, topic: str) -> Offsets:
        """Return the end of each partition; raise StartError where there is no such topic."""
        return _by_partition(await self._ask(self._consumer.end_offsets(await self._parts(topic))))

    async def has(self, topic: str) -> bool:
        """Whether there is such a topic; raise KafkaAccessError where we may not know."""
        try:
            await self._parts(topic)
        except KafkaAccessError:
            raise
        except StartError:
            return False
        return True

    async def begins(self, topic: str) -> Offsets:
        """Return the first offset that Kafka still has, of each partition."""
        asked = self._consumer.beginning_offsets(await self._parts(topic))
        return _by_partition(await self._ask(asked))

    async def since(self, topic: str, moment_ms: int) -> Offsets:
        """Return the first offset not older than ms since 1970; the end where there is none."""
        ends = await self.ends(topic)
        asked = dict.fromkeys(await self._parts(topic), moment_ms)
        found = await self._ask(self._consumer.offsets_for_times(asked))
        return ends | {part.partition: at.offset for part, at in found.items() if at is not None}

    async def committed(self, group: str, topic: str) -> Offsets:
        """Return what a group has committed; where it has not, the begin of the log."""
        found = await self._ask(committed(self._admin, group))
        return await self.begins(topic) | {
            part.partition: at for part, at in found.items() if part.topic == topic
        }

    async def has_readers(self, group: str) -> bool:
        """Whether somebody is in a group, or was and has committed something."""
        if await self._ask(committed(self._admin, group)):
            return True
        return bool(await self._ask(members_of(self._admin, group)))

    async def cluster(self) -> str:
        """Return the id of the cluster."""
        return str((await self._ask(self._admin.describe_cluster()))["cluster_id"] or "")

    async def _parts(self, topic: str) -> list[TopicPartition]:
        (found,) = await self._ask(self._admin.describe_topics([topic]))
        if found["error_code"] == TopicAuthorizationFailedError.errno:
            raise KafkaAccessError(f"Kafka does not let us do this: Describe on topic {topic}")
        if found["error_code"]:
            raise StartError(f"Kafka has no topic {topic}. Check EVENT_COUNTER_NAMESPACE")
        return sorted(TopicPartition(topic, part["partition"]) for part in found["partitions"])

    @staticmethod
    async def _ask(answer: Awaitable[Any]) -> Any:
        with kafka_away():
            return await answer


async def wait_for(
    who: str,
    position: Callable[[], Awaitable[Mapping[int, int]]],
    goal: Mapping[int, int],
    patience_s: float,
    say: Say,
) -> None:
    """Return once every position has reached its goal; raise StartError where none comes nearer.

    who: in the messages, for example "the count workers". patience_s: without progress.
    """
    least, since = inf, monotonic()
    while True:
        found = await position()
        behind = sum(max(0, end - found.get(part, 0)) for part, end in goal.items())
        if not behind:
            return
        if behind < least:
            least, since = behind, monotonic()
        elif monotonic() - since > patience_s:
            raise StartError(
                f"{who} have come no further for {patience_s:.0f} s: {behind} records behind. "
                "See event-counter status, and the logs"
            )
        say(f"waiting for {who}: {behind} records behind")
        await asyncio.sleep(POLL_S)


def _by_partition(found: Mapping[TopicPartition, int]) -> Offsets:
    return {part.partition: offset for part, offset in found.items()}
