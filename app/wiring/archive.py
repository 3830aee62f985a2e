"""Role archive: writes app events to parquet files. The only role that loads pyarrow."""

from __future__ import annotations

import faust

import agents.archive_events
import agents.enrich_archive
import agents.forget_old
import web.http.health
from app.archive.archive import Archive
from app.archive.buffer import ArchiveBuffer
from app.archive.files import Folders
from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.kafka.outlasting import outlast
from app.monitor.worker_metrics import WorkerMetrics
from app.names import Names
from app.settings import Settings
from app.wiring.faust_app import batch_app, batch_topic, ready
from app.wiring.logs import keep_offsets

ARCHIVE_PAUSE_S = 0.25  # between small fetches: nobody waits for a row that lands in a minute


def build(settings: Settings) -> faust.App:
    """Return the app; its archive is opened with the first batch."""
    names = Names(settings.namespace)
    app = batch_app(settings, names.archive_group, {names.events}, set())
    app.transport.batch_pause_s = max(settings.batch_pause_s, ARCHIVE_PAUSE_S)
    events = batch_topic(app, names.events, settings.events_partitions)
    kafka_log = KafkaLog(KafkaClients.of(settings))

    async def open_archive() -> Archive:
        cluster = await outlast(kafka_log.cluster, "the archive cannot be opened")
        return Archive(Folders.of(settings), names.events, cluster, settings.dedupe_hours)

    buffer = ArchiveBuffer(open_archive)
    keep_offsets(app, settings, agents.archive_events.ROLE)
    app.transport.hooks.stored_to = lambda tp: buffer.position(tp.partition)
    agents.archive_events.register(app, events, buffer, settings)
    agents.enrich_archive.register(app, settings)
    agents.forget_old.register(app, settings, "archive")
    web.http.health.register(app, lambda: ready(app), WorkerMetrics(app, names.archive_group))
    return app
