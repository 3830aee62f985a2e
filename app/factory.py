"""Makes the app of a role; app/wiring has a file for each."""

from __future__ import annotations

import logging

import faust

from app.counting.registry import Registry
from app.errors import SettingsError
from app.kafka.resets import survive_resets
from app.kafka.tables_version import FIRST
from app.reconcile.past_events import PastReader
from app.settings import Settings
from app.wiring import collect, count, store


def create_app(
    settings: Settings,
    version: int = FIRST,
    *,
    past: PastReader | None = None,
    registry: Registry | None = None,
) -> faust.App:
    """Return the app of settings.role; raise SettingsError without a role or an address.

    version: of the tables, for role count; registry: its declared counters. past: where that takes
    its events from instead, beside the workers that answer; see app.reconcile.rebuild_tables.
    """
    if not settings.kafka:
        raise SettingsError("EVENT_COUNTER_KAFKA is empty: name a Kafka, or use: event-counter run")
    if not settings.role:
        raise SettingsError("EVENT_COUNTER_ROLE is empty; give collect, count, store or archive")
    # Faust leaves the root logger at DEBUG; building those messages costs a third of the speed.
    logging.disable(logging.DEBUG)
    survive_resets()
    if settings.role == "count":
        return count.build(settings, version, past, registry)
    if settings.role == "archive":
        from app.wiring import archive  # noqa: PLC0415 - the other roles need no pyarrow: 40 MB

        return archive.build(settings)
    return {"collect": collect, "store": store}[settings.role].build(settings)
