"""What forgotten months added up to, as records of the topics of new tables."""

from __future__ import annotations

import asyncpg
import msgspec

from app.counting.message_runs import MessageRun
from app.counting.stats_window import Month
from app.counting.uniques import Accumulator, month_row
from app.events.batches import Named
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stores.sql import migrate
from tables.base_records import BaseRecords
from tables.counters import declare
from tables.outcome_row import OUTCOMES_ROW
from tables.partial_values import decode_partial
from tests.support.kafka_client import KafkaClient

HOUR, DAY = 3600, 86_400
VERSION = 2

Cell = tuple[int, int, str, str, int, bool, int]
CELLS: list[Cell] = [
    (2, 1, "/a", "CLICK", 20_000 * DAY, False, 3),
    (2, 1, "/a", "CLICK", 20_000 * DAY + HOUR, False, 4),
    (2, 1, "/a", "CLICK", 20_000 * DAY, False, 2),  # of a later call
    (4, 1, "", "CLICK", 0, False, 9),
    (23, 1, "", "CLICK", 0, False, 5),
]


async def written(
    settings: Settings, kafka: KafkaClient, sketch: bytes, run: bytes
) -> dict[str, dict[tuple[int, bytes], bytes]]:
    """Return {topic: {(partition, key): value}} of what is written."""
    names, dsn = Names(settings.namespace, VERSION), settings.postgres.get_secret_value()
    await ensure_topics(settings, VERSION)
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    base = BaseRecords(settings, VERSION, declare(settings))
    assert await base.write(connection) == 0, "nothing is forgotten"
    await connection.execute(
        "insert into forgotten_months (before, partition, rows) values ('2026-01-01', 1, 17);"
        "insert into base_clicks values (1, 'u', '{7}', '{2}')"
    )
    add = connection.executemany
    await add("insert into base_cells values ($1, $2, $3, $4, $5, $6, $7)", CELLS)
    await add("insert into base_sketches values ($1, $2)", [(month_row(Month.of(0), "ad"), sketch)])
    await add("insert into event_messages values ($1, 1, 5, 6, $2)", [(names.events, run)])
    many = await base.write(connection)
    await connection.close()
    topics = (
        names.partials_changelog,
        names.counts,
        names.uniques,
        names.judged_changelog,
        names.messages_changelog,
    )
    found = {name: await kafka.read(name) for name in topics}
    assert sum(map(len, found.values())) == many
    return {name: {(r.partition, r.key): r.value for r in some} for name, some in found.items()}


async def test_new_tables_begin_with_what_is_gone(
    settings: Settings,
    kafka: KafkaClient,
) -> None:
    names, counters = Names(settings.namespace, VERSION), declare(settings)
    accumulator = Accumulator()
    row = month_row(Month.of(0), "ad")
    accumulator.note_values({row: {"u", "v"}})
    sketch = accumulator.take()[row]
    run = MessageRun.of(Named(["m"], [5], [6]), 6)
    found = await written(settings, kafka, sketch, run.pack())
    partials = found[names.partials_changelog]
    assert {partition for partition, _ in partials} == {1}
    values = {key: decode_partial(value) for (_, key), value in partials.items()}
    assert {value.last for value in values.values()} == {-1}
    hours = counters.by_number[2].keys.row("/a", 20_000 * DAY, "CLICK")
    types = counters.by_number[4].keys.row("", 0, "CLICK")
    assert values[hours].cells == {0: 5, 1: 4}
    assert values[types].cells == {0: 9}
    assert values[OUTCOMES_ROW].cells == {0: 17, 1: 12, 2: 5, 4: 0}
    assert {key[:-2] for _, key in found[names.counts]} == values.keys() - {OUTCOMES_ROW}
    assert [*found[names.uniques].values()] == [sketch]
    assert [*found[names.judged_changelog]] == [(1, b"cu")]
    (clicks,) = found[names.judged_changelog].values()
    assert msgspec.msgpack.decode(clicks) == [[7], [2]]
    assert [*found[names.messages_changelog]] == [(1, bytes.fromhex("6d" + 2 * "0000000000000005"))]
    assert [*found[names.messages_changelog].values()] == [run.pack()]


async def test_all_time_is_the_sum_of_the_hours(settings: Settings, kafka: KafkaClient) -> None:
    settings = settings.model_copy(update={"hourly_retention_days": 30})
    run = MessageRun.of(Named(["m"], [5], [6]), 6).pack()
    found = await written(settings, kafka, b"", run)
    names, counters = Names(settings.namespace, VERSION), declare(settings)
    row = counters.by_number[1].keys.row("/a", 0, "CLICK")
    assert decode_partial(found[names.partials_changelog][1, row]).cells == {0: 9}
