"""Every table and every topic is in a backup, or it is said why not."""

from __future__ import annotations

from app.kafka.topics import topic_specs
from app.names import Names
from app.reconcile import topic_copies
from app.settings import Settings
from app.stores import copies
from app.stores.sql import migrate
from tests.support.database import Database

TABLES = (
    "select relname::text from pg_class where relnamespace = 'public'::regnamespace"
    " and relkind in ('r', 'p', 'm') and not relispartition"
)


async def test_every_table_is_copied_or_left_out_for_a_reason(database: Database) -> None:
    await migrate(database.dsn)
    there = {row[0] for row in await database.fetch(TABLES)}
    assert "event" in there
    assert there == {*copies.COPIED, *copies.LEFT_OUT}
    assert not set(copies.COPIED) & copies.LEFT_OUT.keys()
    assert all(copies.LEFT_OUT.values())


def test_every_topic_is_copied_or_left_out_for_a_reason() -> None:
    specs = topic_specs(Settings(statistics=True, dedupe_hours=1))
    attributes = {value: name for name, value in vars(Names("")).items() if isinstance(value, str)}
    there = {attributes[spec.name] for spec in specs}
    copied = {*topic_copies.FIRST, *topic_copies.LAST}
    assert there == copied | topic_copies.LEFT_OUT.keys()
    assert not copied & topic_copies.LEFT_OUT.keys()
    assert all(topic_copies.LEFT_OUT.values())
