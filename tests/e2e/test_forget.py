"""event-counter forget --user: nothing says whose the rows are, and all figures stay."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from app.counting.kept_fields import by_users, kept_fields
from app.kafka.clients import KafkaClients
from app.kafka.topics import ensure_topics
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.reconcile.forget import Forget
from app.settings import Settings
from app.stack.workers import WorkerProcess
from tests.conftest import MakeSettings, StartWorker
from tests.support import archive
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import command_line
from tests.support.stores import QUICK, Stores
from tests.support.waiting import wait_until

COUNTERS = """[[counter]]
name = "plans"
key = "properties.plan"
window = "all"
"""
NAME = "anna@example.net"
ANNA: dict[str, Any] = {
    "user_id": NAME,
    "session_id": "s-anna",
    "ip": "203.0.113.7",
    "user_agent": "Anna/1.0",
    "referrer": "https://anna.example/",
    "url": "/shop",
    "app_name": "shop",
    "properties": {"plan": "pro", "name": "Anna"},
}
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
ASKED = (
    "/counts/plans?key=pro",
    f"/stats/ads?month={HOUR:%Y-%m}",
    "/stats/bots",
    f"/stats/active_users?window=3600&at={HOUR + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
)
OF_A_USER = 15
ARCHIVED = OF_A_USER - 1  # without the duplicate


def events(user: dict[str, Any], message: str) -> list[bytes]:
    """Return events of a user: a duplicate, an ad, more page views of a moment than count."""
    view = {"type": "page_view", "timestamp": int(time.time()) - 100}
    buy = {"type": "buy", "message_id": message}
    ad = {"type": "AdImpression", "ad_id": "ad-1", "timestamp": f"{HOUR:%Y-%m-%dT%H:%M:%SZ}"}
    some: list[dict[str, Any]] = [buy, buy, ad, *[view] * 12]
    return [json.dumps(user | event).encode() for event in some]


async def ask(worker: WorkerProcess, path: str) -> Any:
    """Return what a count worker says."""
    async with aiohttp.ClientSession(worker.url) as http, http.get(path) as answer:
        return await answer.json()


async def figures(worker: WorkerProcess) -> list[Any]:
    """Return what a count worker says, without the names of users."""
    found = [await ask(worker, path) for path in ASKED]
    for one in found:
        one["users"] = sorted(user["dropped"] for user in one.get("users", ()))
    return found


async def texts(stores: Stores) -> str:
    """Return all that event and the archive say, as one text."""
    rows = await stores.database.fetch("select t::text from event t")
    archived = await asyncio.to_thread(archive.read, stores.settings.data_dir)
    return json.dumps([[row[0] for row in rows], archived], default=str).lower()


async def start_again(worker: WorkerProcess) -> None:
    """Start a worker once it has ended by itself, as a supervisor does."""
    await wait_until(worker.child.alive, expected=False, deadline_s=120)
    worker.start()
    await worker.ready()


async def forget(settings: Settings, user: str, worker: WorkerProcess) -> str:
    """Return what the command says."""
    given = {n.removeprefix("EVENT_COUNTER_").lower(): v for n, v in settings.to_env().items()}
    done, _ = await asyncio.gather(
        asyncio.to_thread(command_line, "forget", "--user", user, "--yes", **given),
        start_again(worker),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


async def test_a_user_is_forgotten_and_all_figures_stay(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker, tmp_path: Path
) -> None:
    file = tmp_path / "counters.toml"
    file.write_text(COUNTERS, "utf-8")
    settings = await make_settings(**QUICK, archive_interval_s=0.2, counters=str(file))
    await ensure_topics(settings)
    _, count, _ = await asyncio.gather(
        *(start_worker(settings, role) for role in ("store", "count", "archive"))
    )
    stores = Stores(settings.model_copy(update={"count_urls": count.url}), kafka, 7)
    await kafka.send(stores.events, events(ANNA, "m-1"), partition=0)
    await kafka.send(stores.events, events(ANNA | {"user_id": "bert"}, "m-2"), partition=1)
    await wait_until(lambda: len(archive.read(settings.data_dir)), 2 * ARCHIVED, deadline_s=60)
    assert await stores.differences() == []
    said = await figures(count)
    assert said[-1]["active_users"] == 2
    sessions = f"/stats/users/{NAME}/sessions"
    assert (await ask(count, sessions))["sessions"]
    answer = await forget(stores.settings, NAME, count)
    assert f"forgot {OF_A_USER} rows of event and {ARCHIVED} of the archive" in answer
    assert "2 rows keep their message_id" in answer
    assert NAME not in await texts(stores)
    found = await stores.audit()
    assert (found["differences"], found["forgotten"]) == ([], {"rows": OF_A_USER, "users": 1})
    assert await figures(count) == said
    assert not (await ask(count, sessions)).get("sessions")
    users = {row["user_id"] for row in archive.read(settings.data_dir)}
    assert len(users) == 2
    rows = await stores.database.fetch(
        "select distinct ip, user_agent, referrer, properties::text from event"
        " where user_id like 'forgotten-%'"
    )
    assert [tuple(row) for row in rows] == [(None, None, None, '{"plan": "pro"}')]


async def test_a_user_who_waits_for_the_first_file_of_the_archive_is_forgotten(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker
) -> None:
    settings = await make_settings(**QUICK, archive_interval_s=60)
    await ensure_topics(settings)
    _, archiver = await asyncio.gather(
        *(start_worker(settings, role) for role in ("store", "archive"))
    )
    await kafka.send(Names(settings.namespace).events, archive.app_events([4711]), partition=0)
    said = list[str]()
    async with Watermarks(KafkaClients.of(settings)) as marks:
        work = Forget(settings, marks, kept_fields([]), by_users([]), said.append)
        forgetting = asyncio.create_task(work.user("4711"))
        waits = "waiting for the archive workers: 1 records behind"
        await wait_until(lambda: waits in said or forgetting.done(), expected=True)
        await archiver.stop()  # which writes what it has; the next one what it had not read
        await start_worker(settings.model_copy(update={"archive_interval_s": 0.2}), "archive")
        found = await forgetting
    (row,) = archive.read(settings.data_dir)
    assert row["user_id"].startswith("forgotten-")
    assert (found.rows, found.archived) == (1, 1)
