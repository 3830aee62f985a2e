"""Producers choose how their records are packed; every role reads all of it, or says what not."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from pathlib import Path

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.record.util import calc_crc32c

from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.kafka import Kafka
from app.stack.workers import WorkerProcess
from tests.conftest import MakeSettings, StartWorker
from tests.support.archive import app_events, users
from tests.support.database import Database
from tests.support.waiting import wait_until

CODECS = ("gzip", "snappy", "lz4", "zstd")
BATCH = 50  # events; a batch of their own, as they are sent together
ATTRIBUTES_AT, CRC_AT, LENGTH_AT = 21, 17, 8  # in a record batch of version 2
NO_CODEC = 7
URL = "/codecs"


@pytest.fixture
async def settings(make_settings: MakeSettings) -> Settings:
    """Return settings under which new files of the archive come every second."""
    return await make_settings(archive_interval_s=1, enrich_interval_s=1e9, events_partitions=1)


async def send(kafka: str, topic: str, numbers: Iterable[int], codec: str | None) -> None:
    """Send app events as one batch."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka, compression_type=codec, linger_ms=500
    ) as producer:
        values = app_events(numbers, url=URL)
        await asyncio.gather(*[await producer.send(topic, value, partition=0) for value in values])


async def compress_topic(kafka: str, topic: str, codec: str) -> None:
    """Have the broker pack what comes in another way than its producer."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    configs = {"compression.type": codec}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    await admin.close()


async def start_readers(settings: Settings, start_worker: StartWorker) -> WorkerProcess:
    """Start count, store and archive; return count."""
    count, *_ = await asyncio.gather(
        *(start_worker(settings, role) for role in ("count", "store", "archive"))
    )
    return count


async def expect_all(settings: Settings, count: WorkerProcess, numbers: list[int]) -> None:
    """Wait until all three have these events, and no others."""
    database = Database(settings.postgres.get_secret_value())

    async def counted() -> int:
        params = {"key": URL}
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{count.url}/counts/events_by_url", params=params) as answer,
        ):
            return sum((await answer.json())["total"].values())

    async def stored() -> list[int]:
        return sorted(int(row[0]) for row in await database.fetch("select user_id from event"))

    await wait_until(counted, len(numbers))
    await wait_until(stored, numbers)
    await wait_until(lambda: users(settings.data_dir), numbers)


@pytest.mark.usefixtures("topics")
async def test_events_of_every_codec_are_counted_stored_and_archived(
    settings: Settings, start_worker: StartWorker
) -> None:
    topic, sent = Names(settings.namespace).events, 0
    count = await start_readers(settings, start_worker)
    for codec in (None, *CODECS):
        await send(settings.kafka, topic, range(sent, sent + BATCH), codec)
        sent += BATCH
    for codec in CODECS:
        await compress_topic(settings.kafka, topic, codec)
        await send(settings.kafka, topic, range(sent, sent + BATCH), None)
        sent += BATCH
    await expect_all(settings, count, list(range(sent)))


def batches(log: bytearray) -> list[tuple[int, int]]:
    """Return where each record batch of a segment begins and ends."""
    found, at = [], 0
    while at < len(log):
        (length,) = struct.unpack_from(">i", log, at + LENGTH_AT)
        found.append((at, at + 12 + length))
        at += 12 + length
    return found


def damage(segment: Path) -> None:
    """Flip a bit of the second batch; give the fourth a codec that nobody knows."""
    log = bytearray(segment.read_bytes())
    places = batches(log)
    log[places[1][1] - 5] ^= 1
    begin, end = places[3]
    log[begin + ATTRIBUTES_AT + 1] |= NO_CODEC
    crc = calc_crc32c(bytes(log[begin + ATTRIBUTES_AT : end]))
    struct.pack_into(">I", log, begin + CRC_AT, crc)
    segment.write_bytes(log)


async def test_batches_that_cannot_be_read_are_named_counted_and_passed(
    settings: Settings, tmp_path: Path, start_worker: StartWorker
) -> None:
    part = Kafka(tmp_path / "kafka", tmp_path / "kafka.log")
    settings = settings.model_copy(update={"kafka": await part.start()})
    try:
        await ensure_topics(settings)
        topic = Names(settings.namespace).events
        for number in range(6):
            await send(settings.kafka, topic, range(number * BATCH, (number + 1) * BATCH), "zstd")
        await part.stop()
        damage(tmp_path / f"kafka/data/{topic}-0/00000000000000000000.log")
        await part.start()
        left = [n for n in range(6 * BATCH) if n // BATCH not in (1, 3)]
        count = await start_readers(settings, start_worker)
        await expect_all(settings, count, left)
        async with aiohttp.ClientSession() as http, http.get(f"{count.url}/metrics") as answer:
            metric = f'event_counter_records_unreadable_total{{topic="{topic}"}} {2 * BATCH}.0'
            assert metric in (await answer.text()).splitlines()
        for role in ("count", "store", "archive"):
            await expect_named(tmp_path, role, topic)
        read = [
            record.offset
            async for batch, _ in KafkaLog(KafkaClients.of(settings)).read(topic, 0, 0, 6 * BATCH)
            for record in batch
        ]
        assert read == left
    finally:
        await part.stop()


async def expect_named(folder: Path, role: str, topic: str) -> None:
    """Expect two lines in the log of a worker."""
    lines = next((folder / "logs").glob(f"{role}-*.log")).read_text("utf-8").splitlines()
    lost = [line.partition(f"{topic}-0: ")[2].strip() for line in lines if "are lost" in line]
    unknown = "UnsupportedCodecError: Unknown compression codec 0x07"
    assert lost == [
        "offsets 50 to 99 cannot be read and are lost: its checksum is another",
        f"offsets 150 to 199 cannot be read and are lost: {unknown}",
    ]
