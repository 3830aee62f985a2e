"""Kafka is lost with its disk: offsets go on where Postgres is, and tables are made from it."""

from __future__ import annotations

import asyncio

import aiohttp
from redis.asyncio import Redis

from app.cli.progress import ProgressLog
from app.cli.rebuild import rebuild_tables
from app.kafka.tables_version import position_key
from app.kafka.topics import ensure_topics
from app.settings import Settings
from app.stack.prepare import prepare_logs
from app.stack.workers import WorkerProcess
from app.stores.live import POSITIONS_KEY, URL_KEY
from tests.conftest import MakeSettings, StartWorker
from tests.losses.test_cut_logs import QUICK
from tests.support.database import Database
from tests.support.http import Http
from tests.support.losing_kafka import LosingKafka, Sender, clicks
from tests.support.waiting import wait_until

FAR = 1_000_000  # a position behind all others


async def send(settings: Settings, count: int, url: str) -> None:
    """Send events of a url, as a collector that starts now."""
    sender = Sender(settings)
    await sender.start()
    await sender.send(count, url)
    await sender.stop()


async def stored(settings: Settings, count: int) -> None:
    """Return once so many events are in Postgres."""
    database = Database(settings.postgres.get_secret_value())

    async def rows() -> int:
        return int((await database.fetch("select count(*) from event"))[0][0])

    await wait_until(rows, count, deadline_s=60)


async def _rebuilt_once_before(settings: Settings) -> None:
    """Let sinks know positions of rebuilt tables, as of the Kafka that is lost."""
    keys = range(position_key(2, 0), position_key(2, settings.counts_partitions))
    database = Database(settings.postgres.get_secret_value())
    for key in keys:
        await database.fetch("insert into summary_positions values ($1, $2)", key, FAR)
    redis = Redis.from_url(settings.redis.get_secret_value())
    await redis.hset(POSITIONS_KEY, mapping={str(key): str(FAR) for key in keys})
    await redis.aclose()


async def _on_a_new_cluster(losing_kafka: LosingKafka, settings: Settings) -> None:
    losing_kafka.wipe()
    await losing_kafka.start()
    await ensure_topics(settings)
    assert await prepare_logs(settings)


async def _written(settings: Settings, clicks: dict[str, int]) -> None:
    """Return once event_summary and Redis say the clicks of urls."""
    database = Database(settings.postgres.get_secret_value())
    redis = Redis.from_url(settings.redis.get_secret_value())

    async def found() -> list[dict[str, int]]:
        rows = await database.fetch("select url, sum(count)::int from event_summary group by 1")
        live = {url: int(await redis.hget(f"{URL_KEY}{url}", "CLICK") or 0) for url in clicks}
        return [dict(rows), live]

    await wait_until(found, [clicks, clicks], deadline_s=60)
    await redis.aclose()


async def kept(worker: WorkerProcess, stop: asyncio.Event) -> None:
    """Start a worker again whenever it has ended, as a supervisor does."""
    while not stop.is_set():
        if not worker.child.alive():
            worker.start()
        await asyncio.sleep(0.2)


async def test_tables_are_rebuilt_on_a_new_cluster_and_say_nothing_before(
    losing_kafka: LosingKafka,
    make_settings: MakeSettings,
    start_worker: StartWorker,
) -> None:
    settings = await make_settings(kafka=losing_kafka.address, statistics=False, **QUICK)
    url = f"http://{settings.worker_host}:{settings.worker_port}"
    settings = settings.model_copy(update={"count_urls": url})
    await ensure_topics(settings)
    store = await start_worker(settings, "store")
    await send(settings, 1000, "/old")
    await stored(settings, 1000)
    store.child.kill()
    await _rebuilt_once_before(settings)
    await _on_a_new_cluster(losing_kafka, settings)
    store.start()
    count = await start_worker(settings, "count", ready=False)
    stop = asyncio.Event()
    keeping = asyncio.create_task(kept(count, stop))
    async with aiohttp.ClientSession() as session:
        counts = Http(session, url)

        async def unready() -> str:
            answer = await counts.get("/ready")
            return str(answer.json)

        away = (aiohttp.ClientError,)
        await wait_until(unready, lambda s: "rebuild tables" in s, deadline_s=60, passing=away)
        assert await clicks(counts, "/old") == -1
        await send(settings, 300, "/new")
        await stored(settings, 1300)
        with ProgressLog() as progress:
            await rebuild_tables(settings, progress)
        await wait_until(lambda: clicks(counts, "/old"), 1000, deadline_s=60)
        assert await clicks(counts, "/new") == 300
    await _written(settings, {"/old": 1000, "/new": 300})
    stop.set()
    await keeping
