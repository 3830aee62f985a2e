"""Tables on a real RocksDB, without a broker: what they send is kept in a list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from app.counting.counters import Counters
from app.settings import Settings
from app.transport import PromptTableManager
from tables.counters import declare
from tables.messages import Messages
from tables.partials import Partials
from tables.totals import Totals

NO_RULES: Mapping[int, int] = {}


class SentRecords:
    """Stands where the producer does; acknowledge() is Kafka's answer."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int, Any, asyncio.Future[Any]]] = []

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(
            500_000, 0, is_transactional=False, key_serializer=None, value_serializer=None
        )

    async def send_batch(self, builder: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
        sent = asyncio.get_running_loop().create_future()
        self.batches.append((topic, partition, builder, sent))
        return sent

    def acknowledge(self, first_offset: int = 0) -> None:
        for _, partition, _, sent in self.batches:
            if not sent.done():
                sent.set_result(SimpleNamespace(offset=first_offset, partition=partition))

    def keys(self, topic: str, partition: int) -> list[bytes]:
        """Return the keys sent to a partition, in order."""
        found: list[bytes] = []
        for to, at, builder, _ in self.batches:
            if (to, at) == (topic, partition):
                records = MemoryRecords(bytes(builder._build()))
                while (batch := records.next_batch()) is not None:
                    found.extend(record.key for record in batch)
        return found

    def topics(self) -> list[str]:
        return [topic for topic, *_ in self.batches]


def hold_readings(monkeypatch: pytest.MonkeyPatch, until: asyncio.Event) -> None:
    """Let what threads read from now on be known only once something has happened."""
    read = asyncio.to_thread

    async def held(*args: Any) -> Any:
        found = await read(*args)
        await until.wait()
        return found

    monkeypatch.setattr(asyncio, "to_thread", held)


@pytest.fixture
def counters() -> Counters:
    return declare(Settings())


@pytest.fixture
def sent() -> SentRecords:
    return SentRecords()


@pytest.fixture
def make_app(tmp_path: Path, sent: SentRecords) -> Callable[[], faust.App]:
    """Return a factory of apps; each sees what the one before left on the disk."""

    def make() -> faust.App:
        app = faust.App(
            "t",
            store="rocksdb://",
            datadir=str(tmp_path),
            topic_disable_leader=True,
            TableManager=PromptTableManager,
        )
        app.conf.tabledir.mkdir(parents=True, exist_ok=True)
        app._producer = SimpleNamespace(_producer=sent)
        return app

    return make


@pytest.fixture
def make_partials(make_app: Callable[[], faust.App], counters: Counters) -> Callable[..., Partials]:
    """Return a factory of tables; rules: see tables.layout."""
    return lambda rules=NO_RULES: Partials.create(
        *(make_app(), "partials", 4, ""),
        counters=counters,
        counts_topic="counts",
        counts_partitions=4,
        rules=rules,
    )


@pytest.fixture
def make_totals(make_app: Callable[[], faust.App], counters: Counters) -> Callable[[], Totals]:
    return lambda: Totals.create(make_app(), "totals", 4, "", counters=counters)


@pytest.fixture
def committed() -> dict[int, int]:
    return {}


@pytest.fixture
def make_messages(
    make_app: Callable[[], faust.App], committed: dict[int, int]
) -> Callable[[], Messages]:
    return lambda: Messages.create(
        make_app(),
        "messages",
        4,
        "",
        hours=24,
        by_uuid=False,
        committed=lambda p: committed.get(p, 0),
    )
