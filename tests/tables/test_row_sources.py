"""What sinks are told of by the log where they are behind: rows of records that are ours."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import faust
import msgspec
import pytest

from app.counting.counters import Counters
from app.counting.row_keys import SOURCE
from app.counting.stats_window import Month
from app.counting.uniques import AD_VISITORS, month_row
from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.names import Names
from app.settings import Settings
from app.wiring.sinks import counts_log
from tables.ad_rows import COUNTER, LABEL, AdImpressions, AdVisitors
from tables.row_sources import WHOLE_KEY, ChangeLog, LiveRows, SummaryRows
from tables.totals import Totals
from tables.uniques import Uniques
from tests.support.kafka_client import KafkaClient
from tests.tables.test_totals import NOW
from tests.tables.test_uniques import merge, records

MAY = Month(2026, 5)
OWNED: Any = None  # is not asked
STARTS = [b"", *(b"\xff" * size for size in (1, 2, 5, 8, 300))]  # of what is behind a number
SOURCES: dict[str, tuple[Any, str]] = {
    "summary": (SummaryRows, "events_by_url_hourly"),
    "live": (LiveRows, "events_by_url"),
    "ads": (AdImpressions, COUNTER),
}


def strange(number: int) -> list[bytes]:
    """Return keys that begin as those of a counter, and others."""
    return [bytes((first,)) + rest for first in (0, number, 255) for rest in STARTS]


async def behind(source: Any, kafka: KafkaClient, topic: str, partition: int, own: Any) -> Any:
    """Return the rows that a source gives for a sink that is behind all records of a topic.

    own: record of ours that stands among the strange ones.
    """
    number = own.key[0]
    for key in [*strange(number), own.key, *strange(number)]:
        value = own.value if key == own.key else b"{}"
        await kafka.send_as_it_is(topic, partition, (key, value), [])
    assert await source.note_between(partition, 0, (await kafka.ends(topic))[partition])
    chunks, _ = source.take(partition)
    return [row for chunk in chunks for row in chunk if row is not None]


@pytest.mark.parametrize("name", SOURCES)
async def test_strange_keys_in_counts_are_of_no_row(
    name: str,
    make_totals: Callable[[], Totals],
    counters: Counters,
    settings: Settings,
    topics: Names,
    kafka: KafkaClient,
) -> None:
    totals, (kind, counter) = make_totals(), SOURCES[name]
    source, spec = kind(totals, OWNED, counters, counts_log(settings, 1)), counters.stored(counter)
    partition = totals.partition_of("/a")
    start, slot = spec.place(int(NOW.timestamp()))
    row = spec.keys.row("/a", start, LABEL)
    value = msgspec.msgpack.encode((9, {slot: 5}))
    own = SimpleNamespace(key=row + SOURCE.pack(0), value=value)
    await totals.merge(partition, [own], 1)
    assert source.take(partition)[1] == 1
    (found,) = await behind(source, kafka, topics.counts, partition, own)
    assert "/a" in found


async def test_strange_keys_in_uniques_are_of_no_row(
    make_app: Callable[[], faust.App], settings: Settings, topics: Names, kafka: KafkaClient
) -> None:
    uniques = Uniques.create(make_app(), "uniques", 4, "")
    log = KafkaLog(KafkaClients.of(settings))
    source = AdVisitors(uniques, OWNED, ChangeLog(log, topics.uniques, WHOLE_KEY))
    partition = uniques.partition_of("34")
    (own,) = [one for one in records("ab", "34") if one.key[0] == AD_VISITORS]
    merge(uniques, [own], "34")
    source.take(partition)
    await kafka.send_as_it_is(topics.uniques, partition, (month_row(MAY, "?"), b"{}"), [])
    ((_, ad_id, users),) = await behind(source, kafka, topics.uniques, partition, own)
    assert (ad_id, users) == ("34", 2)
