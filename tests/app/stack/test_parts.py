"""Each part of the local stack keeps its data and its address, whatever ends it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio

import app.stack.postgres
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.child import Child
from app.stack.kafka import Kafka
from app.stack.passage import let_pass
from app.stack.ports import LOOPBACK
from app.stack.postgres import LocalPostgres
from app.stack.redis import Redis
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import ROOT, UGLY, is_gone
from tests.support.waiting import wait_until


async def test_the_fixtures_give_working_parts(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    assert await kafka.send(topics.events, [b"a", b"b"], 1) == [0, 1]
    assert await kafka.values(topics.events) == [b"a", b"b"]
    assert await kafka.ends(topics.events) == {0: 0, 1: 2, 2: 0, 3: 0}
    assert await kafka.committed("nobody", topics.events) == {}
    connection = await asyncpg.connect(settings.postgres.get_secret_value())
    await wait_until(lambda: connection.fetchval("select 1"), 1)
    await connection.close()
    client = redis.asyncio.Redis.from_url(settings.redis.get_secret_value())
    assert await client.ping()
    await client.aclose()


async def test_kafka_keeps_records_and_address_after_kill_9(tmp_path: Path) -> None:
    part = Kafka(tmp_path / "kafka", tmp_path / "kafka.log")
    before = await part.start()
    settings = Settings(kafka=before)
    await ensure_topics(settings)
    async with KafkaClient(before) as client:
        await client.send("events", [b"kept"], 0)
    part.child.kill()
    try:
        assert await part.start() == before
        assert await ensure_topics(settings) == []
        async with KafkaClient(before) as client:
            assert await client.values("events") == [b"kept"]
    finally:
        await part.stop()


async def test_postgres_keeps_rows_and_address_after_kill_9_while_it_works(tmp_path: Path) -> None:
    part = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    before = await part.start()
    connection = await asyncpg.connect(before)
    await connection.execute("create table kept (n int); insert into kept values (7)")
    server = psutil.Process(part.child.pid)
    server.kill()
    connection.terminate()
    try:
        assert await part.start() == before
        connection = await asyncpg.connect(before)
        assert await connection.fetchval("select n from kept") == 7
        await connection.close()
    finally:
        await part.stop()


async def test_postgres_starts_with_a_pid_file_that_a_full_disk_left_empty(tmp_path: Path) -> None:
    part = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    await part.start()
    psutil.Process(part.child.pid).kill()
    (pid_file,) = tmp_path.rglob("postmaster.pid")  # noqa: ASYNC240
    pid_file.write_bytes(b"")
    try:
        assert await part.start()
    finally:
        await part.stop()


async def test_redis_keeps_keys_and_address_after_kill_9(tmp_path: Path) -> None:
    part = Redis(tmp_path / "redis", tmp_path / "redis.log")
    before = await part.start()
    client = redis.asyncio.Redis.from_url(before)
    await client.set("kept", 7)
    await client.aclose()
    part.child.kill()
    try:
        assert await part.start() == before
        client = redis.asyncio.Redis.from_url(before)
        assert await client.get("kept") == b"7"
        await client.aclose()
    finally:
        await part.stop()


async def test_a_part_takes_another_port_when_its_own_is_occupied(tmp_path: Path) -> None:
    part = Redis(tmp_path / "redis", tmp_path / "redis.log")
    before = await part.start()
    await part.stop()
    port = int(before.rpartition(":")[2].removesuffix("/0"))
    with socket.create_server((LOOPBACK, port)):
        after = await part.start()
        await part.stop()
    assert after != before


async def test_strangers_are_not_let_in(tmp_path: Path) -> None:
    database = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    address = await database.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(address.replace(address.split(":")[2].split("@")[0], "guess"))
    await database.stop()
    assert (tmp_path / "postgres/password").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root cannot run Postgres as itself")
async def test_postgres_runs_under_another_account_where_namespaces_are_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.stack.postgres, "_user", lambda: "account")
    above = tmp_path / "closed"
    above.mkdir(mode=0o700)
    said: list[str] = []
    part = LocalPostgres(above / "postgres", tmp_path / "postgres.log", said.append)
    for _ in range(2):
        await part.start()
        assert psutil.Process(part.child.pid).uids().effective != 0
        await part.stop()
    assert above.stat().st_mode & 0o007 == 0, "passed by that account, and by no other"
    (told,) = [line for line in said if f" {above} " in line]
    assert told.startswith("postgres runs as nobody: ")
    assert "access control list" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")
def test_one_account_passes_a_closed_folder_and_others_do_not(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    (folder / "open").write_text("x", "ascii")
    (folder / "open").chmod(0o644)
    parents = [path for path in folder.parents if not path.stat().st_mode & stat.S_IXOTH]
    let_pass(2001, [*parents, folder])
    let_pass(2002, parents)
    assert let_pass(2001, [folder]) == [], "once"
    assert read_as(2001, folder / "open")
    assert not read_as(2002, folder / "open")
    assert not read_as(2001, folder), "not to list"
    folder.chmod(0o700)  # takes the right from everybody on the list
    assert not read_as(2001, folder / "open")
    assert let_pass(2001, [folder])
    assert read_as(2001, folder / "open")


def read_as(user: int, path: Path) -> bool:
    """Return whether an account can read a file, or list a folder."""
    command = ["ls" if path.is_dir() else "cat", str(path)]
    done = subprocess.run(
        command, user=user, group=user, extra_groups=[], capture_output=True, check=False
    )
    return done.returncode == 0


def test_a_part_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys; from app.stack.redis import Redis;"
        "folder = pathlib.Path(sys.argv[1]); part = Redis(folder, folder / 'log');"
        "asyncio.run(part.start()); print(part.child.pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        assert not is_gone(child)
        parent.kill()
        parent.wait()
    psutil.wait_procs([child], timeout=5)
    assert is_gone(child)


@pytest.fixture
def make_sleeper() -> Iterator[Callable[[], psutil.Process]]:
    """Return a factory of processes that do nothing for a minute."""
    made: list[subprocess.Popen[bytes]] = []

    def make() -> psutil.Process:
        made.append(subprocess.Popen(["sleep", "60"]))
        return psutil.Process(made[-1].pid)

    yield make
    for process in made:
        process.kill()
        process.wait()


def test_what_an_earlier_process_left_running_is_ended_and_nothing_else(
    tmp_path: Path, make_sleeper: Callable[[], psutil.Process]
) -> None:
    folder = tmp_path / UGLY
    folder.mkdir()
    left = [(0, ""), (0, f" {folder}"), (0, f" {tmp_path}/moved"), (60, ""), (0, f" {tmp_path}")]
    found = []
    for younger_s, where in left:
        process = make_sleeper()
        born = process.create_time() - younger_s
        (folder / "one.pid").write_text(f"{process.pid} {born}{where}", "utf-8")
        Child("one", folder, folder / "log").sweep()
        found.append(is_gone(process))
    # Its own, of an older version too, and of before it was moved; a pid that was used again since;
    # one that was copied with its folder.
    assert found == [True, True, True, False, False]


async def test_kafka_has_events_on_the_disk_within_seconds(tmp_path: Path) -> None:
    part = Kafka(tmp_path / "kafka", tmp_path / "kafka.log")
    settings = Settings(kafka=await part.start())
    await ensure_topics(settings)
    async with KafkaClient(settings.kafka) as client:
        await client.send("events", [b"kept"] * 7, 0)
    synced = tmp_path / "kafka/data/recovery-point-offset-checkpoint"
    try:
        await wait_until(synced.read_text, lambda text: "events 0 7\n" in text, deadline_s=60)
    finally:
        await part.stop()
