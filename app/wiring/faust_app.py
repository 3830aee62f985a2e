"""What every role is made of: a Faust app, and its batch topics."""

from __future__ import annotations

import asyncio
import gc
import shutil
from typing import Any

import faust
from mode import Service

import agents.watch_brokers
from app.kafka.clients import KafkaClients
from app.kafka.tables_version import FIRST
from app.monitor.loop_watch import watch_loop
from app.names import Names
from app.settings import Settings
from app.text import url_of
from app.transport import BatchTransport, PromptTableManager, batch_scheduler, give_up_sending
from app.transport.contact import Contact
from web.http.server import Server

GARBAGE_S = 60.0  # takes 5 ms of a collector, whose memory is frozen but for requests
BATCH_QUEUE = 4  # fetched batches that wait for an agent, per stream
# A store whose Postgres is away for longer would leave its group, and aiokafka joins again only
# after a fetch, which waits for the group: the worker would idle for good.
NO_POLL_LIMIT_S = 10 * 365 * 86_400
MAX_POLL_RECORDS = 20_000
FETCH_MAX_BYTES = 4_000_000  # of one partition
PRODUCE_MAX_BYTES = 500_000  # of one record batch
REQUEST_MAX_BYTES = 4_000_000
FLUSH_S = 3.0  # run kills what does not end in 10 s; all workers stand still in a rebalance


class BoundedApp(faust.App):
    """Faust's, which ends, and gives partitions away, although Kafka takes nothing any more."""

    async def _producer_flush(self, logger: Any) -> None:
        """Wait for what is on its way, for a while: what is not committed is read again.

        After a rebalance it may arrive as late as what a frozen worker sends; others wait for this
        one meanwhile. Only a stop gives it up, as nothing can be sent after that.
        """
        try:
            async with asyncio.timeout(FLUSH_S):
                await super()._producer_flush(logger)
        except TimeoutError:
            logger.warning("Kafka did not accept everything within %s s", FLUSH_S)
            if self.should_stop:
                give_up_sending(self)


def faust_app(settings: Settings, group: str, port: int, host: str, **options: Any) -> faust.App:
    """Return an app of a group that serves HTTP on host:port."""
    name = {"consumer_group_instance_id": settings.worker_name} if settings.worker_name else {}
    app = BoundedApp(
        group,
        store="rocksdb://",
        datadir=str(settings.data_dir).replace("{", "{{").replace("}", "}}"),  # Faust formats it
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
        recovery_consistency_check=False,  # a changelog that is too short is healed by its table
        web_bind=host,
        web_host=host,
        web_port=port,
        canonical_url=url_of(host, port),
        TableManager=PromptTableManager,
        **KafkaClients.of(settings).for_faust(),
        **name,
        **options,
    )
    app.web = Server(app, settings)
    _watch(app)
    return app


def _watch(app: faust.App) -> None:
    @app.service
    class Watching(Service):
        """Measures how long the event loop stands still."""

        async def on_start(self) -> None:
            self.add_future(watch_loop())


def batch_app(
    settings: Settings, group: str, sources: set[str], changelogs: set[str], version: int = FIRST
) -> faust.App:
    """An app of a worker that reads batch topics; its group is named after the version, too."""
    app = faust_app(
        settings,
        group,
        settings.worker_port,
        settings.worker_host,
        ConsumerScheduler=batch_scheduler(sources, changelogs),
        version=version,
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    app.transport.batch_pause_s = settings.batch_pause_s
    app.transport.contact = Contact(
        settings.session_timeout_s,
        settings.stale_max_s,
        (Names(settings.namespace).events, settings.events_partitions),
    )
    agents.watch_brokers.register(app, KafkaClients.of(settings))

    @app.on_worker_init.connect
    def make_data_dir(*_args: Any, **_kwargs: Any) -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in app.conf.find_old_versiondirs():  # of tables that do not count any more
            shutil.rmtree(old, ignore_errors=True)

    @app.on_rebalance_complete.connect
    async def keep_what_stays(*_args: Any, **_kwargs: Any) -> None:
        tune_collection()

    return app


def tune_collection() -> None:
    """Let the garbage collector look only at what is new, and rarely.

    What is loaded by now lives as long as the worker; rows and requests come by the ten thousand,
    and few are cyclic. A tenth of the CPU of a PUT, a quarter of that of a count worker with many
    keys: the events of some fetches are fewer objects than the threshold.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


async def collect_garbage() -> None:
    """Look for cycles now and then: by number alone a quiet collector would keep them for hours."""
    while True:
        await asyncio.sleep(GARBAGE_S)
        gc.collect()


def batch_topic(app: faust.App, name: str, partitions: int) -> Any:
    """Return a topic whose stream has one event per fetched batch."""
    return app.topic(
        name,
        value_serializer="raw",
        key_serializer="raw",
        partitions=partitions,
        maxsize=BATCH_QUEUE,
    )


def ready(app: faust.App) -> bool | str:
    """Whether partitions are assigned, recovered and being read; the reason why they cannot be."""
    contact = app.transport.contact
    if problem := (
        app.consumer.refused or app.consumer.hanging or contact.problem or contact.unread
    ):
        return str(problem)
    return bool(app.consumer.is_flowing()) and not app.rebalancing
