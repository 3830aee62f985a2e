"""A backup under load, everything lost, and all figures as they were at its positions."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from app.counting.spec import FIRST_DECLARED
from app.ingest.replay import Replay, Replayed, Wanted
from app.kafka.clients import KafkaClients
from app.kafka.counter_log import decided
from app.kafka.remembered import Remembered
from app.kafka.topics import ensure_topics
from app.names import Names
from app.reconcile.manifest import read_manifest
from app.settings import Settings
from app.stack.workers import WorkerProcess
from tests.conftest import MakeSettings, StartWorker
from tests.support import archive
from tests.support.kafka_client import KafkaClient
from tests.support.kafka_faults import MortalKafka
from tests.support.losing_kafka import LosingKafka
from tests.support.running_copy import command_line
from tests.support.stores import Stores
from tests.support.waiting import wait_until

QUICK = {
    "events_partitions": 2,
    "counts_partitions": 2,
    "archive_interval_s": 0.2,
    "summary_interval_s": 0.3,
    "redis_interval_s": 0.2,
    "commit_interval_s": 0.3,
}
COUNTERS = """[[counter]]
name = "paths"
key = "url"
window = "all"
most_keys = 3
"""
PLACES = "select kafka_partition, kafka_offset, uuid, type, url, message_id, duplicate from event"
APP_EVENTS = "select count(*) from event where app_name is not null and duplicate is not true"
ADS = "select ad_id, impressions, visitors from ad_month where ad_id like 'backed-%' order by 1"
NAMED = "select message_id, duplicate from event where url = '/named' order by kafka_offset"
OLD = {"type": "AdClick", "ad_id": "old", "user_id": "u3", "timestamp": "2015-01-01T00:00:00Z"}
LATE = b'{"type":"late","url":"/late","timestamp":"tomorrow"}'


def variables(settings: Settings) -> dict[str, str]:
    """Return the settings for a command line."""
    given = settings.to_env().items()
    return {name.removeprefix("EVENT_COUNTER_").lower(): value for name, value in given}


async def done(*arguments: str, settings: Settings) -> str:
    """Return what a command prints, once it has ended well."""
    found = await asyncio.to_thread(command_line, *arguments, **variables(settings))
    assert found.returncode == 0, found.stderr
    return found.stdout


async def replay(settings: Settings, *, dry: bool = False) -> list[Replayed]:
    """Replay what is LATE; return what was done."""
    work = Replay(settings, Wanted(fields={"timestamp": None}))
    await work.run(dry=dry)
    return [*work.outcomes.values()]


async def send_named(stores: Stores, names: list[str]) -> None:
    """Send an app event with each message_id, always to the same partition."""
    values = [
        json.dumps({"type": "buy", "app_name": "shop", "message_id": n, "url": "/named"}).encode()
        for n in names
    ]
    await stores.kafka.send(stores.events, values, partition=0)


async def send_ads(stores: Stores, ad: str) -> None:
    """Send three impressions of an ad, of two users."""
    ads = [{"type": "AdImpression", "ad_id": ad, "user_id": user} for user in ("u1", "u2", "u1")]
    await stores.kafka.send(stores.events, [json.dumps(one).encode() for one in ads])


async def send_first(stores: Stores) -> None:
    """Send what every table, topic and rule has something of."""
    view = json.dumps({"type": "page_view", "url": "/viewed", "user_id": "u2"}).encode()
    await stores.kafka.send(stores.events, [view] * 20, partition=0)  # enough for an alert
    await stores.send_bots("u1", 14)
    await send_ads(stores, "backed-1")
    await send_named(stores, ["a", "b", "a"])
    old = [json.dumps(OLD | {"url": url}).encode() for url in ("/viewed", "/bots", "/named") * 2]
    await stores.kafka.send(stores.events, old, partition=0)
    await stores.kafka.send(stores.events, [LATE], partition=1)
    settings, names = stores.settings, Names(stores.settings.namespace)
    await wait_until(lambda: stores.kafka.values(names.rejected), lambda found: len(found) == 1)
    assert [done.sent for done in await replay(settings)] == [1]
    async with Remembered(KafkaClients.of(settings), names.places) as places:
        await places.write({"log\nfile": b"{}"})


async def rows_of(stores: Stores, positions: dict[int, int]) -> Counter[tuple[Any, ...]]:
    """Return the events below some positions."""
    rows = await stores.database.fetch(PLACES)
    return Counter(tuple(row) for row in rows if row[1] < positions[row[0]])


async def same_archive(stores: Stores) -> None:
    """Return once the archive holds the app events of event, each once."""
    (wanted,) = (await stores.database.fetch(APP_EVENTS))[0]

    async def archived() -> int:
        return len(await asyncio.to_thread(archive.read, stores.settings.data_dir))

    await wait_until(archived, wanted, deadline_s=60)


async def ads_are(stores: Stores, *ads: str) -> None:
    """Return once ad_month has these ads of send_ads()."""
    wanted = [(ad, 3, 2) for ad in ads]

    async def found() -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await stores.database.fetch(ADS)]

    await wait_until(found, wanted, deadline_s=60)


async def running(
    settings: Settings, client: KafkaClient, start_worker: StartWorker, seed: int
) -> tuple[Stores, list[WorkerProcess]]:
    """Start workers of all roles that read; return what asks them."""
    store, count, archiving = await asyncio.gather(
        *(start_worker(settings, role) for role in ("store", "count", "archive"))
    )
    there = settings.model_copy(update={"count_urls": count.url})
    return Stores(there, client, seed), [store, count, archiving]


async def paths_of(stores: Stores) -> dict[str, int]:
    """Return what the declared counter says of the urls of send_first()."""
    found: dict[str, int] = {}
    async with aiohttp.ClientSession(stores.settings.count_urls) as http:
        for url in ("/viewed", "/bots", "/named", "/late"):
            async with http.get(f"/counts/paths?key={url}") as answer:
                found[url] = (await answer.json())["total"].get("", 0)
    return found


class Before(NamedTuple):
    """What a backup was taken of, months of it forgotten.

    raised, later: keys of alerts before and after it. gone: as audit says it.
    """

    positions: dict[int, int]
    rows: Counter[tuple[Any, ...]]
    raised: set[bytes]
    later: set[bytes]
    keys: dict[int, dict[str, None]]
    paths: dict[str, int]
    gone: dict[str, Any]


async def back_up(stores: Stores, folder: Path) -> Before:
    """Take a backup under load."""
    names = Names(stores.settings.namespace)
    await send_first(stores)
    assert await stores.differences() == []  # once all is counted
    raised = {record.key for record in await stores.kafka.read(names.alerts)}
    keys, paths = (await decided(stores.settings)).keys, await paths_of(stores)
    assert len(keys[FIRST_DECLARED]) == 3
    assert sum(paths.values()) > 0
    await done("forget", "--before", "2020-01", "--yes", settings=stores.settings)
    gone = (await stores.audit())["forgotten_months"]
    assert gone == {"before": "2020-01", "rows": 6}
    async with stores.flowing():
        acknowledged = await stores.kafka.ends(stores.events)
        await done("backup", str(folder), settings=stores.settings)
    positions = read_manifest(folder).database.positions
    assert all(positions[part] >= end for part, end in acknowledged.items())
    rows = await rows_of(stores, positions)
    assert read_manifest(folder).database.events == rows.total()
    later = {record.key for record in await stores.kafka.read(names.alerts)}
    return Before(positions, rows, raised, later, keys, paths, gone)


async def check_as_before(stores: Stores, before: Before) -> None:
    """Compare with what the backup was taken of."""
    settings, names = stores.settings, Names(stores.settings.namespace)
    said = await stores.audit()
    assert (said["differences"], said["lost"]) == ([], {})
    assert said["forgotten_months"] == before.gone
    assert await rows_of(stores, before.positions) == before.rows
    await same_archive(stores)
    await ads_are(stores, "backed-1")
    alerts = [record.key for record in await stores.kafka.read(names.alerts)]
    assert before.raised <= set(alerts) <= before.later
    assert len(alerts) == len(set(alerts)) > 0
    keys = (await decided(settings)).keys
    for number, kept in before.keys.items():  # types came in after that, too
        assert [*keys[number]][: len(kept)] == [*kept]
    assert await paths_of(stores) == before.paths
    async with Remembered(KafkaClients.of(settings), names.places) as places:
        assert await places.read() == {"log\nfile": b"{}"}
    assert sum(done.before for done in await replay(settings, dry=True)) == 1


async def check_goes_on(stores: Stores, before: Before) -> None:
    """Send more, with message_ids that the backup knows, and compare again."""
    await send_named(stores, ["a", "c"])
    await send_ads(stores, "backed-2")
    sent = await stores.kafka.ends(stores.events)
    async with stores.flowing():
        pass
    assert await stores.differences() == []
    await same_archive(stores)
    await ads_are(stores, "backed-1", "backed-2")
    named = [tuple(row) for row in await stores.database.fetch(NAMED)]
    assert named == [("a", None), ("b", None), ("a", True), ("a", True), ("c", None)]
    topic = Names(stores.settings.namespace).alerts
    alerts = [record.key for record in await stores.kafka.read(topic)]
    assert len(alerts) == len(set(alerts))
    assert all(sent[part] >= end for part, end in before.positions.items())


async def test_a_backup_under_load_restores_all_figures_and_counting_goes_on(
    losing_kafka: LosingKafka,
    make_settings: MakeSettings,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    folder, file = tmp_path / "backup", tmp_path / "counters.toml"
    file.write_text(COUNTERS, "utf-8")
    settings = await make_settings(kafka=losing_kafka.address, counters=str(file), **QUICK)
    await ensure_topics(settings)
    async with KafkaClient(losing_kafka.address) as client:
        stores, workers = await running(settings, client, start_worker, 7)
        before = await back_up(stores, folder)
        for worker in workers:
            worker.child.kill()
    losing_kafka.kill()
    shutil.rmtree(settings.data_dir)
    given = {"namespace": settings.namespace, "counters": str(folder / "settings/counters")}
    settings = await make_settings(kafka="", **given, **QUICK, data_dir=tmp_path / "new")
    await done("restore", str(folder), settings=settings)  # with a Kafka of its own, in new
    kafka = MortalKafka(settings.data_dir)
    await kafka.start()
    try:
        settings = settings.model_copy(update={"kafka": kafka.address})
        async with KafkaClient(kafka.address) as client:
            stores, _ = await running(settings, client, start_worker, 8)
            await check_as_before(stores, before)
            await check_goes_on(stores, before)
    finally:
        await kafka.stop()
