"""A small client of Kafka for tests: raw records in, whole topics out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import KafkaError

from tests.support.waiting import wait_until

STRANGE = ("strange", b"1")  # header of what nobody of ours wrote: read() leaves it out


class KafkaClient:
    """Use as an async context manager."""

    def __init__(self, address: str) -> None:
        """address: host:port."""
        self.address = address

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(bootstrap_servers=self.address, acks="all", linger_ms=2)
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(
        self,
        topic: str,
        values: Iterable[bytes],
        partition: int | None = None,
        *,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
    ) -> list[int]:
        """Send records to one partition, or as Kafka likes; return their offsets once acked."""
        waiting = [
            await self._producer.send(topic, value, key, partition, timestamp_ms)
            for value in values
        ]
        return [(await future).offset for future in waiting]

    async def send_records(
        self, topic: str, records: Iterable[tuple[bytes, bytes, list[tuple[str, bytes]]]]
    ) -> None:
        """Send (key, value, headers); return once all are acked."""
        waiting = [
            await self._producer.send(topic, value, key, headers=headers)
            for key, value, headers in records
        ]
        for sent in waiting:
            await sent

    async def send_as_it_is(
        self,
        topic: str,
        partition: int,
        record: tuple[bytes | None, bytes | None],
        headers: list[tuple[str, bytes | None]],
    ) -> None:
        """Send (key, value), also what a producer would not: neither of them."""
        batch = self._producer.create_batch()
        batch.append(timestamp=None, key=record[0], value=record[1], headers=headers)
        await (await self._producer.send_batch(batch, topic, partition=partition))

    async def partitions(self, topic: str) -> list[int]:
        """Return the numbers of the partitions of a topic."""
        return sorted(await self._producer.partitions_for(topic))

    async def read(self, topic: str) -> list[ConsumerRecord]:
        """Return all records that the topic holds now, partition after partition; see STRANGE."""
        records: list[ConsumerRecord] = []
        async with AIOKafkaConsumer(
            bootstrap_servers=self.address, fetch_max_wait_ms=50
        ) as consumer:
            parts = [TopicPartition(topic, number) for number in await self.partitions(topic)]
            consumer.assign(parts)
            await consumer.seek_to_beginning(*parts)
            ends = await consumer.end_offsets(parts)
            while behind := [part for part in parts if await consumer.position(part) < ends[part]]:
                found = await consumer.getmany(*behind, timeout_ms=200)
                records += [record for batch in found.values() for record in batch]
        records = [
            record
            for record in records
            if record.offset < ends[TopicPartition(topic, record.partition)]
            and STRANGE not in record.headers
        ]
        return sorted(records, key=lambda record: (record.partition, record.offset))

    async def values(self, topic: str) -> list[Any]:
        """Return only the values of read()."""
        return [record.value for record in await self.read(topic)]

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the offset after the last record by partition."""
        async with AIOKafkaConsumer(bootstrap_servers=self.address) as consumer:
            parts = [TopicPartition(topic, number) for number in await self.partitions(topic)]
            ends = await consumer.end_offsets(parts)
        return {part.partition: end for part, end in ends.items()}

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the committed offset by partition, of those that have one."""
        async with self.admin() as admin:
            offsets = await admin.list_consumer_group_offsets(group)
        return {
            part.partition: meta.offset
            for part, meta in offsets.items()
            if part.topic == topic and meta.offset >= 0
        }

    async def group(self, name: str) -> tuple[str, int]:
        """Return the state of a consumer group, for example Stable, and its number of members."""
        async with self.admin() as admin:
            (answer,) = await admin.describe_consumer_groups([name])
        ((_, _, state, _, _, members, *_),) = answer.groups
        return state, len(members)

    async def commit(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        """Commit an offset by partition, for a group without members."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.address, group_id=group, enable_auto_commit=False
        )
        async with consumer:
            parts = {TopicPartition(topic, part): offset for part, offset in offsets.items()}
            consumer.assign([*parts])
            await consumer.commit(parts)

    async def put_back(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        """Commit likewise, once a stopped worker is no member any more."""

        async def done() -> bool:
            await self.commit(group, topic, offsets)
            return True

        await wait_until(done, expected=True, every_s=1, passing=(KafkaError,))

    async def topics(self) -> list[str]:
        """Return the names of all topics."""
        async with self.admin() as admin:
            found: list[str] = await admin.list_topics()
        return found

    async def delete(self, topic: str) -> None:
        """Delete a topic; return once the broker knows: it takes records a while longer."""
        async with self.admin() as admin:
            await admin.delete_topics([topic])
        await wait_until(self.topics, lambda found: topic not in found)

    async def delete_before(self, topic: str, offsets: dict[int, int]) -> None:
        """Delete the records below an offset of each partition, as retention does."""
        parts = {TopicPartition(topic, p): RecordsToDelete(at) for p, at in offsets.items()}
        async with self.admin() as admin:
            await admin.delete_records(parts)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Yield an admin client, connected."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()
