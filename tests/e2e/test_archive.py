"""From POST /track to SQL over what was enriched, through real workers and commands."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from app.names import Names
from app.settings import Settings
from tests.conftest import MakeSettings, StartWorker
from tests.support.archive import app_events, users
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import ROOT, command_line, environment
from tests.support.waiting import wait_until

EVENTS = 10_000
PROCESSES = 10
TOTALS = "select count(*) as n, count(distinct user_id) as users, sum(u_count) as s from enriched"


@pytest.fixture
async def settings(make_settings: MakeSettings) -> Settings:
    """Return settings under which new files come every second; nothing is enriched by itself."""
    return await make_settings(archive_interval_s=1, enrich_interval_s=1e9)


def given(settings: Settings) -> dict[str, Any]:
    """Return the settings as names without EVENT_COUNTER_."""
    return {k.removeprefix("EVENT_COUNTER_").lower(): v for k, v in settings.to_env().items()}


async def ask(settings: Settings, sql: str) -> Any:
    """Return what `event-counter query --json` prints."""
    done = await asyncio.to_thread(command_line, "query", sql, "--json", **given(settings))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("topics")
async def test_ten_processes_send_10000_app_events_and_there_are_10000_rows(
    settings: Settings, start_worker: StartWorker
) -> None:
    collector, _ = await asyncio.gather(
        start_worker(settings, "collect"), start_worker(settings, "archive")
    )
    token, share = settings.token.get_secret_value(), EVENTS // PROCESSES
    senders = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.track_sender", collector.url, token),
            *(str(number * share), str(share)),
            env=environment({}),
            cwd=ROOT,
        )
        for number in range(PROCESSES)
    ]
    assert await asyncio.gather(*(sender.wait() for sender in senders)) == [0] * PROCESSES
    await wait_until(lambda: len(users(settings.data_dir)), EVENTS, deadline_s=30)
    done = await asyncio.to_thread(command_line, "enrich", **given(settings))
    assert done.stdout.startswith(f"enriched {EVENTS} rows as of "), done.stderr
    assert await ask(settings, TOTALS) == [{"n": EVENTS, "users": EVENTS, "s": EVENTS}]
    assert users(settings.data_dir) == list(range(EVENTS))


async def test_the_worker_enriches_by_itself(
    kafka: KafkaClient, make_settings: MakeSettings, start_worker: StartWorker
) -> None:
    settings = await make_settings(archive_interval_s=0.2, enrich_interval_s=1)
    worker = await start_worker(settings, "archive")
    topic = Names(settings.namespace).events

    async def enriched() -> int:
        found: int = (await ask(settings, "select count(*) as n from enriched"))[0]["n"]
        return found

    for sent in (100, 200):
        await kafka.send(topic, app_events(range(100)))
        await wait_until(enriched, sent, deadline_s=30)
    await wait_until(worker.child.log.read_text, lambda said: "enriched 200 rows" in said)
    await worker.stop()
    assert worker.child.exit_code() == 0


async def test_commands_say_in_one_line_what_is_wrong(settings: Settings) -> None:
    for arguments, says in {
        ("query", "select * from nowhere"): "event-counter: Catalog Error: Table with name nowhere",
        ("query", "drop view archive"): "event-counter: give one SELECT statement.",
        ("enrich", "--at", "soon"): "Error: Invalid value for '--at': T 'soon' cannot be read.",
    }.items():
        done = await asyncio.to_thread(command_line, *arguments, **given(settings))
        assert done.returncode
        assert done.stderr.splitlines()[-1].startswith(says)
        assert not done.stdout
