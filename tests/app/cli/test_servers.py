"""Which servers a command works with: the environment wins, and stderr says it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from app.cli.running import find_servers
from app.errors import StartError
from app.kafka.topics import ensure_topics
from app.settings import Settings
from app.stack.data_dir import owned, write_run_file
from app.stores import sql
from tests.conftest import MakeSettings
from tests.support.running_copy import command_line

RUN = {
    "kafka": "127.0.0.1:1",
    "postgres": "postgresql://postgres:geheim@127.0.0.1:2/event_counter",
    "redis": "redis://:geheim@127.0.0.1:3/0",
    "count_urls": "http://127.0.0.1:4",
    "namespace": "n.",
    "worker_secret": "geheim",
}


def found(folder: Path, **given: str) -> dict[str, str]:
    """Return the addresses that a command gets beside a running copy."""
    env = {f"EVENT_COUNTER_{name.upper()}": value for name, value in given.items()}
    settings = Settings.from_env(env | {"EVENT_COUNTER_DATA_DIR": str(folder)})
    with owned(folder):
        write_run_file(folder, RUN)
        env = find_servers(settings).settings.to_env()
    return {name: env[f"EVENT_COUNTER_{name.upper()}"] for name in RUN}


def test_what_the_environment_leaves_open_comes_from_the_running_copy(tmp_path: Path) -> None:
    assert found(tmp_path) == RUN
    assert found(tmp_path, kafka="", postgres="") == RUN


def test_the_environment_wins(tmp_path: Path) -> None:
    other = {"postgres": "postgresql://h/x", "redis": "redis://h", "count_urls": "http://h"}
    assert found(tmp_path, **other) == RUN | other
    assert found(tmp_path, kafka=RUN["kafka"], namespace="m.") == RUN | {"namespace": "m."}


def test_a_copy_with_another_kafka_is_left_alone(tmp_path: Path) -> None:
    with_kafka = found(tmp_path, kafka="127.0.0.1:9", redis="redis://h")
    assert with_kafka == {
        "kafka": "127.0.0.1:9",
        "postgres": "",
        "redis": "redis://h",
        "count_urls": "http://127.0.0.1:6067",
        "namespace": "",
        "worker_secret": "",
    }


def test_without_a_copy_and_a_kafka_it_is_told_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="event-counter run"):
        find_servers(Settings(data_dir=tmp_path))


def test_a_server_that_is_needed_and_not_given_is_named(tmp_path: Path) -> None:
    done = command_line("rebuild", "redis", kafka="127.0.0.1:9", data_dir=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("event-counter: EVENT_COUNTER_POSTGRES is empty.")
    assert done.stderr.count("\n") == 1


async def test_rebuild_redis_mends_the_redis_of_the_environment_and_says_so(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    copy, other = await make_settings(), await make_settings()
    await ensure_topics(copy)
    await sql.migrate(copy.postgres.get_secret_value())
    urls = [settings.redis.get_secret_value() for settings in (copy, other)]
    clients = [redis.asyncio.Redis.from_url(url) for url in urls]
    for client in clients:  # of a url that event does not know
        await client.hset("event_counter:url:/a", "CLICK", "7")
    facts: dict[str, Any] = {
        "kafka": copy.kafka,
        "postgres": copy.postgres.get_secret_value(),
        "redis": urls[0],
        "namespace": copy.namespace,
    }
    with owned(tmp_path / "data"):
        write_run_file(tmp_path / "data", facts)
        given = {"data_dir": tmp_path / "data", "redis": urls[1]}
        done = await asyncio.to_thread(command_line, "rebuild", "redis", **given)
    assert done.returncode == 0, done.stderr
    assert [await client.exists("event_counter:url:/a") for client in clients] == [1, 0]
    said = done.stderr.splitlines()[0]
    assert f"Kafka {copy.kafka} ({tmp_path / 'data'})" in said
    assert f"@{urls[1].rpartition('@')[2]} (EVENT_COUNTER_REDIS)" in said
    assert urls[0].rpartition("@")[0] not in done.stderr, "a password"
    for client in clients:
        await client.aclose()
