"""The Python and SQL on the pages do what the pages say."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

import asyncpg

from app.events.decoding import decode
from app.names import Names
from app.settings import Settings
from app.stores.event_store import EventStore
from tests.docs.pages import blocks
from tests.support.batches import RECORD_MS, TOPIC, batch_of
from tests.support.kafka_client import KafkaClient

EVENT = {
    "uuid": "u", "type": "t", "ip": "i", "url": "/\u0001", "user_id": "us", "session_id": "se",
    "ad_id": "ad", "app_name": "ap", "product_id": "pr", "category": 'c"a', "value": 1.5,
    "timestamp": "2015-05-17T10:05:03.000001Z", "properties": {"a": [1, None, "ü"]},
    "message_id": "m", "referrer": "https://e.net/", "user_agent": "Mozilla/5.0",
}  # fmt: skip


async def test_the_producer_in_python(
    settings: Settings, topics: Names, kafka: KafkaClient
) -> None:
    (source,) = blocks("docs/start/from-kafka.md", "python")
    names: dict[str, Any] = {}
    exec(source, names)
    await names["send"](settings.kafka, topics.events)
    [value] = await kafka.values(topics.events)
    assert decode(value, RECORD_MS).user_id == "ann"


async def test_the_export_of_events_can_be_imported(
    make_database: Callable[[], Awaitable[str]],
) -> None:
    dsn = await make_database()
    store = EventStore(dsn)
    records = [json.dumps(EVENT).encode(), b'{"type":"only","timestamp":"2015-05-18T00:00:00Z"}']
    await store.store(TOPIC, 0, batch_of(records, first=0))
    store.close()
    (export,) = blocks("docs/operating/backup-and-loss.md", "sql")
    query = export[export.index("(") + 1 : export.rindex(") to stdout")]
    connection = await asyncpg.connect(dsn)
    lines = BytesIO()
    await connection.copy_from_query(
        query, output=lines, format="csv", quote="\x01", delimiter="\x02"
    )
    await connection.close()
    found = [decode(line, RECORD_MS) for line in lines.getvalue().splitlines()]
    expected = [decode(record, RECORD_MS) for record in records]
    expected[1].uuid = found[1].uuid  # made from the place of the record
    assert found == expected
