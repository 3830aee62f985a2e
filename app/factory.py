"""Wires an app: settings in, one Faust app of one role out. Only this file knows all parts."""

from __future__ import annotations

import gc
import logging
import shutil
from typing import Any

import faust
from faust.tables.manager import TableManager
from mode import Service

import agents.archive_events
import agents.count_events
import agents.enrich_archive
import agents.expire_rows
import agents.merge_counts
import agents.publish_totals
import agents.store_events
import agents.watch_tables
import web.http.health
import web.http.read_token
import web.ingest.collect
import web.pages.register
import web.query.forward
import web.stats.rates
import web.stats.topics
from agents.expire_rows import Expiring
from app.archive.buffer import ArchiveBuffer
from app.archive.files import Folders
from app.errors import SettingsError
from app.ingest.collector import Collector
from app.kafka.log import KafkaLog
from app.kafka.resets import survive_resets
from app.kafka.tables_version import FIRST, TablesVersion
from app.monitor.rates import RateSampler
from app.monitor.worker_metrics import OutcomeMetrics, WorkerMetrics
from app.reconcile.past_events import PastReader
from app.reconcile.past_transport import past_transport
from app.settings import Names, Settings
from app.stores.event_store import EventStore
from app.transport import BatchTransport, batch_scheduler
from app.transport.ownership import Ownership
from app.wiring.alerts import add_alerts
from app.wiring.sinks import refresh_sinks
from app.wiring.statistics import answer_queries, answer_sessions, count_users, refresh_ads
from app.wiring.tables import count_tables
from tables.counters import declare
from tables.statistics import Statistics
from web.http.server import Server

BATCH_QUEUE = 4  # fetched batches that wait for an agent, per stream
# A store whose Postgres is away for longer would leave its group, and aiokafka joins again only
# after a fetch, which waits for the group: the worker would idle for good.
NO_POLL_LIMIT_S = 10 * 365 * 86_400
MAX_POLL_RECORDS = 20_000
FETCH_MAX_BYTES = 4_000_000  # of one partition
PRODUCE_MAX_BYTES = 500_000  # of one record batch
REQUEST_MAX_BYTES = 4_000_000
STORE_COMMIT_S = 0.25  # its commit is one request: nothing has to be flushed for it
ARCHIVE_PAUSE_S = 0.25  # between small fetches: nobody waits for a row that lands in a minute


class PromptTableManager(TableManager):
    """Faust's, without the second that it sleeps at each start."""

    async def on_start(self) -> None:
        """Begin recovery at once."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


def create_app(
    settings: Settings, version: int = FIRST, *, past: PastReader | None = None
) -> faust.App:
    """Return the app of settings.role; raise SettingsError without a role or an address.

    version: of the tables, for role count. past: where that takes its events from instead, beside
    the workers that answer; see app.reconcile.rebuild_tables.
    """
    if not settings.kafka:
        raise SettingsError("EVENT_COUNTER_KAFKA is empty; a worker needs a Kafka, or use run")
    # Faust leaves the root logger at DEBUG; building those messages costs a third of the speed.
    logging.disable(logging.DEBUG)
    survive_resets()
    if settings.role == "count":
        return _count(settings, version, past)
    build = {"collect": _collect, "store": _store, "archive": _archive}.get(settings.role)
    if build is None:
        raise SettingsError("EVENT_COUNTER_ROLE is empty; give collect, count, store or archive")
    return build(settings)


def _faust_app(settings: Settings, group: str, port: int, host: str, **options: Any) -> faust.App:
    name = {"consumer_group_instance_id": settings.worker_name} if settings.worker_name else {}
    app = faust.App(
        group,
        broker=[f"kafka://{address}" for address in settings.kafka.split(",")],
        store="rocksdb://",
        datadir=str(settings.data_dir),
        topic_disable_leader=True,
        topic_allow_declare=False,  # made beforehand, see app.kafka.topics
        topic_replication_factor=settings.replication,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=FETCH_MAX_BYTES,
        broker_max_poll_records=MAX_POLL_RECORDS,
        broker_commit_interval=settings.commit_interval_s,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=1.0,
        broker_max_poll_interval=NO_POLL_LIMIT_S,
        producer_max_batch_size=PRODUCE_MAX_BYTES,
        producer_max_request_size=REQUEST_MAX_BYTES,
        producer_linger=0.0,
        stream_buffer_maxsize=BATCH_QUEUE,
        stream_wait_empty=True,
        table_standby_replicas=0,
        web_bind=host,
        web_host=host,
        web_port=port,
        canonical_url=f"http://{host}:{port}",
        TableManager=PromptTableManager,
        **name,
        **options,
    )
    app.web = Server(app, settings.body_max_bytes)
    return app


def _batch_app(
    settings: Settings, group: str, sources: set[str], changelogs: set[str], version: int = FIRST
) -> faust.App:
    """An app of a worker that reads batch topics; its group is named after the version, too."""
    app = _faust_app(
        settings,
        group,
        settings.worker_port,
        settings.worker_host,
        ConsumerScheduler=batch_scheduler(sources, changelogs),
        version=version,
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    app.transport.batch_pause_s = settings.batch_pause_s

    @app.on_worker_init.connect
    def make_data_dir(*_args: Any, **_kwargs: Any) -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        for old in app.conf.find_old_versiondirs():  # of tables that do not count any more
            shutil.rmtree(old, ignore_errors=True)

    @app.on_rebalance_complete.connect
    async def keep_what_stays(*_args: Any, **_kwargs: Any) -> None:
        _tune_collection()

    return app


def _tune_collection() -> None:
    """Let the garbage collector look only at what is new, and rarely.

    What is loaded by now lives as long as the worker; rows and requests come by the ten thousand,
    and few are cyclic. A tenth of the CPU of a PUT, a quarter of that of a count worker with many
    keys: the events of some fetches are fewer objects than the threshold.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


def _batch_topic(app: faust.App, name: str, partitions: int) -> Any:
    return app.topic(
        name,
        value_serializer="raw",
        key_serializer="raw",
        partitions=partitions,
        maxsize=BATCH_QUEUE,
    )


def _count(settings: Settings, version: int, past: PastReader | None) -> faust.App:
    names, counters = Names(settings.namespace, version), declare(settings)
    topics = {names.events, names.counts}
    changelogs = {names.partials_changelog, names.totals_changelog}
    if settings.statistics:
        topics.add(names.uniques)
        changelogs |= names.statistics_changelogs
    app = _batch_app(settings, names.count_app, topics, changelogs, version)
    partials, totals = count_tables(app, settings, counters, names)
    sources = Ownership(app, names.events, "partials", settings.events_partitions)
    owned = Ownership(app, names.counts, "totals", settings.counts_partitions)
    statistics = Statistics.create(app, settings, sources, partials, names.uniques)
    events = _batch_topic(app, names.events, settings.events_partitions)
    counts = _batch_topic(app, names.counts, settings.counts_partitions)
    rejected = "" if past else names.rejected
    agents.count_events.register(app, events, partials, settings, statistics, rejected)
    alerts = None if past else add_alerts(app, settings, counters, totals)
    agents.merge_counts.register(app, counts, totals, alerts)
    expiring: list[tuple[Expiring, Ownership]] = [(partials, sources), (totals, owned)]
    users = None
    if statistics:
        unique = _batch_topic(app, names.uniques, settings.counts_partitions)
        users = count_users(app, unique, settings, names.uniques)
        expiring += [(statistics, sources), (users.table, users.owned)]
    if alerts is not None:  # an empty table is false
        expiring.append((alerts, owned))
    agents.expire_rows.register(app, expiring)
    figures = WorkerMetrics(app, names.count_group), OutcomeMetrics(partials, sources)
    web.http.health.register(app, lambda: _ready(app), *figures)
    if past is not None:
        app.transport = past_transport(app, past)
        return app
    agents.watch_tables.register(app, TablesVersion(settings), version)
    agents.publish_totals.register(app, totals, owned, settings)
    refresh_sinks(app, settings, totals, owned, counters, version)
    if users:
        refresh_ads(app, users, totals, owned, counters, settings)
    answer_sessions(app, answer_queries(app, totals, owned, counters, users), statistics, sources)
    return app


def _store(settings: Settings) -> faust.App:
    names = Names(settings.namespace)
    app = _batch_app(settings, names.store_group, {names.events}, set())
    app.conf.broker_commit_interval = min(settings.commit_interval_s, STORE_COMMIT_S)
    events = _batch_topic(app, names.events, settings.events_partitions)
    if not (dsn := settings.postgres.get_secret_value()):
        raise SettingsError("EVENT_COUNTER_POSTGRES is empty; role store needs one, or use run")
    store = EventStore(dsn, KafkaLog(settings.kafka))
    agents.store_events.register(app, events, store)
    web.http.health.register(app, lambda: _ready(app), WorkerMetrics(app, names.store_group))
    return app


def _archive(settings: Settings) -> faust.App:
    from app.archive.archive import Archive  # noqa: PLC0415 - the other roles need no pyarrow: 40 MB

    names = Names(settings.namespace)
    app = _batch_app(settings, names.archive_group, {names.events}, set())
    app.transport.batch_pause_s = max(settings.batch_pause_s, ARCHIVE_PAUSE_S)
    events = _batch_topic(app, names.events, settings.events_partitions)
    kafka_log = KafkaLog(settings.kafka)

    async def open_archive() -> Archive:
        return Archive(Folders.of(settings), names.events, await kafka_log.cluster())

    buffer = ArchiveBuffer(open_archive)
    agents.archive_events.register(app, events, buffer, settings.archive_interval_s)
    agents.enrich_archive.register(app, settings)
    web.http.health.register(app, lambda: _ready(app), WorkerMetrics(app, names.archive_group))
    return app


def _collect(settings: Settings) -> faust.App:
    names = Names(settings.namespace)
    app = _faust_app(settings, names.collect_group, settings.http_port, settings.http_host)
    app.producer_only = True  # no consumer: a rebalance elsewhere never delays a request
    collector, rates = Collector(settings), RateSampler(settings)
    ends = web.stats.topics.register(app, settings)
    workers = web.query.forward.register(app, settings)
    pages = web.pages.register.register(app, settings, workers, ends, rates, collector.check_ready)
    web.http.read_token.register(app, settings.read_token.get_secret_value())

    @app.service
    class Collecting(Service):
        """Starts and stops the collector with the app."""

        async def on_start(self) -> None:
            await collector.start()
            rates.start()
            pages.start()
            _tune_collection()

        async def on_stop(self) -> None:
            await pages.stop()
            await collector.stop()
            await rates.stop()
            await ends.close()

    web.http.health.register(app, collector.check_ready)
    web.ingest.collect.register(app, collector, settings)
    web.stats.rates.register(app, rates)
    return app


def _ready(app: faust.App) -> bool:
    """Whether partitions are assigned, recovered and being read."""
    return bool(app.consumer.is_flowing()) and not app.rebalancing
