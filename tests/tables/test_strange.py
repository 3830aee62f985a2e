"""Changelog records that no table has written are passed; what they hide is sent again."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import faust
import msgspec
import pytest

from app.counting.counters import Counters
from app.kafka.strange import UNREADABLE
from tables.healing import OWN_KEYS, in_chunks
from tables.judged import JudgedTable
from tables.messages import Messages
from tables.partials import Partials
from tables.sessions import Sessions
from tables.totals import Totals
from tables.uniques import Uniques
from tests.support.metrics import passed_records
from tests.tables.conftest import SentRecords
from tests.tables.test_healing import changelog, recovered
from tests.tables.test_judged import events
from tests.tables.test_messages import batch
from tests.tables.test_partials import absorb
from tests.tables.test_sessions import event, note
from tests.tables.test_totals import partial
from tests.tables.test_uniques import merge, records

pack = msgspec.msgpack.encode
VALUES = [
    *(b"", b"{}", b"[]", b"null", b"1", b"[" * 400, bytes(range(200, 256)), bytes(900_000)),
    *(pack([7, {1: "x"}]), pack({"a": [1.5, None]}), pack([])),
]
KEYS = [b"", b"\0", b"\xff", b"v", b"junk", b"\x04\xff\xff\0\0", bytes(range(9)), *OWN_KEYS]
Make = Callable[[faust.App, Counters], Any]


async def some_partials(app: faust.App, counters: Counters) -> Any:
    made = Partials.create(
        *(app, "partials", 4, ""),
        counters=counters,
        counts_topic="counts",
        counts_partitions=4,
        rules={},
    )
    absorb(made, counters, 0, 6)
    await made.flush()
    return made


async def some_totals(app: faust.App, counters: Counters) -> Any:
    made = Totals.create(app, "totals", 1, "", counters=counters)
    await made.merge(0, [partial(counters, 0, 9), partial(counters, 1, 9)], 3)
    return made


async def some_judged(app: faust.App, _: Counters) -> Any:
    made = JudgedTable.create(app, "judged", 4, "", bot_limit=10, committed=lambda _: 0)
    made.judge(0, events(0, 20))
    await made.flush(0)
    return made


async def some_sessions(app: faust.App, _: Counters) -> Any:
    made = Sessions.create(app, "sessions", 4, "", owned=lambda: [0])
    note(made, [event(), event("t"), event("s", "u2")])
    await made.flush(0)
    return made


async def some_messages(app: faust.App, _: Counters) -> Any:
    made = Messages.create(app, "messages", 4, "", hours=24, by_uuid=False, committed=lambda _: 0)
    await made.load(0)
    made.judge(0, *batch(0, ["a", "b"]))
    await made.flush(0)
    return made


async def some_uniques(app: faust.App, _: Counters) -> Any:
    made = Uniques.create(app, "uniques", 1, "")
    merge(made, records("abc", "34"))
    await made.flush()
    return made


TABLES = [some_partials, some_totals, some_judged, some_sessions, some_messages, some_uniques]


@pytest.mark.parametrize("make", TABLES)
async def test_strange_records_are_passed_and_hide_no_row(
    make: Make, make_app: Callable[[], faust.App], counters: Counters, sent: SentRecords
) -> None:
    table = await make(make_app(), counters)
    sent.acknowledge()
    await table.drain()
    rows = {key: value for chunk in in_chunks(table.db(0)) for key, value in chunk}
    kept = {key: value for key, value in rows.items() if not key.startswith(b"\0s")}  # see sums
    for key, value in kept.items():
        table.check_row(key, value)
    topic, hidden = changelog(table).topic, max(kept)
    found = [(None, None), *((key, value) for key in (None, *KEYS) for value in VALUES)]
    found += [*kept.items(), *((hidden, value) for value in VALUES)]
    before = passed_records(topic)
    message = SimpleNamespace(partition=0, tp=changelog(table), offset=len(found) - 1)
    message.value = [
        SimpleNamespace(key=key, value=value, topic=topic, partition=0, offset=offset)
        for offset, (key, value) in enumerate(found)
    ]
    sent.batches.clear()
    table.recover([SimpleNamespace(message=message)])
    strange = passed_records(topic) - before
    assert strange == len(found) - len(kept)
    after = {key: value for chunk in in_chunks(table.db(0)) for key, value in chunk}
    assert after == rows
    await recovered(table, sent, len(found) - 1)
    again = sorted({hidden, *(rows.keys() & set(KEYS))})
    assert sorted(sent.keys(topic, 0)) == again
    assert table.data.persisted_offset(changelog(table)) == len(found) - 1 + len(again)


def test_a_number_that_no_counter_has_is_no_row(
    make_app: Callable[[], faust.App], counters: Counters
) -> None:
    made = Totals.create(make_app(), "totals", 1, "", counters=counters)
    made.check_row(b"\x50" + bytes(9), pack({1: 2}))  # of a counter that others know
    for key in (b"\xff" + bytes(9), b"\0s" + bytes(9), b""):
        with pytest.raises(UNREADABLE):
            made.check_row(key, pack({1: 2}))
