"""A copy of a data directory in use is another one: who starts it leaves the original alone."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import asyncpg
import redis.asyncio

from app.kafka.topics import ensure_topics
from app.settings import Settings
from app.stack.data_dir import owned, read_run_file, write_run_file
from app.stack.kafka import Kafka
from app.stack.parts import LocalServer
from app.stack.postgres import LocalPostgres
from app.stack.redis import Redis


def servers_in(folder: Path) -> list[LocalServer]:
    """Return the servers of a data directory, none of them started."""
    logs = folder / "logs"
    return [
        Kafka(folder / "kafka", logs / "kafka.log"),
        LocalPostgres(folder / "postgres", logs / "postgres.log"),
        Redis(folder / "redis", logs / "redis.log"),
    ]


def copied(folder: Path, copy: Path) -> None:
    """Copy a folder whose files may come and go meanwhile."""
    subprocess.run(["cp", "-r", folder, copy], check=False)


async def addresses_of(servers: list[LocalServer]) -> list[str]:
    """Start them; return their addresses."""
    return await asyncio.gather(*(server.start() for server in servers))


async def kept_in(addresses: list[str], word: str) -> list[object]:
    """Return what the servers have kept so far, then let them keep a word."""
    kafka, postgres, cache = addresses
    made = await ensure_topics(Settings(kafka=kafka, namespace=f"{word}."))
    connection = await asyncpg.connect(postgres)
    await connection.execute("create table if not exists kept (word text)")
    rows = [row["word"] for row in await connection.fetch("select word from kept")]
    await connection.execute("insert into kept values ($1)", word)
    await connection.close()
    client = redis.asyncio.Redis.from_url(cache, decode_responses=True)
    key = await client.get("kept")
    await client.set("kept", word)
    await client.aclose()
    return [bool(made), rows, key]


async def test_servers_of_a_copy_start_beside_those_of_the_original(tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "a copy "
    originals, copies = servers_in(folder), servers_in(copy)
    try:
        with owned(folder):
            addresses = await addresses_of(originals)
            pids = [server.child.pid for server in originals]
            assert await kept_in(addresses, "first") == [True, [], None]
            await asyncio.to_thread(copied, folder, copy)
            with owned(copy):
                others = await addresses_of(copies)
                assert not {*others} & {*addresses}
                assert await kept_in(others, "first") == [False, ["first"], "first"]
                assert await kept_in(others, "second") == [True, ["first", "first"], "first"]
            assert await kept_in(addresses, "second") == [True, ["first"], "first"]
            assert [server.child.pid for server in originals] == pids
    finally:
        await asyncio.gather(*(server.stop() for server in (*originals, *copies)))


async def test_a_copy_takes_no_port_of_an_original_whose_server_is_away(tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "copy"
    original, other = Redis(folder, folder / "log"), Redis(copy, copy / "log")
    try:
        address = await original.start()
        await original.stop()
        await asyncio.to_thread(copied, folder, copy)
        assert await other.start() != address
        assert await original.start() == address
    finally:
        await original.stop()
        await other.stop()


def test_a_copy_that_starts_does_not_show_addresses_of_the_original(tmp_path: Path) -> None:
    write_run_file(tmp_path, {"kafka": "where the original has it"})
    with owned(tmp_path):
        assert read_run_file(tmp_path) == {}
