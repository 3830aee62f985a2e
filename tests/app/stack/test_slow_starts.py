"""A server that has to read much before it is ready is waited for; one that cannot is told."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio

from app.errors import StartError
from app.stack import redis as local_redis
from app.stack.parts import start_told
from app.stack.ports import LOOPBACK
from app.stack.postgres import LocalPostgres
from app.stack.redis import Redis
from tests.support.waiting import wait_until

KEYS = 2000


class Said:
    """A console that remembers."""

    def __init__(self) -> None:
        self.steps, self.told = list[str](), list[str]()
        self.step, self.progress = self.steps.append, self.told.append


async def filled(folder: Path, log: Path) -> Redis:
    """Return a Redis with keys, killed."""
    part = Redis(folder, log)
    client = redis.asyncio.Redis.from_url(await part.start())
    async with client.pipeline(transaction=False) as pipe:
        for number in range(KEYS):
            pipe.hset(f"event_counter:url:/{number}", "CLICK", number)
        await pipe.execute()
    await client.aclose()
    part.child.kill()
    return part


async def keys_of(part: Redis) -> int:
    """Return how many keys it has."""
    client = redis.asyncio.Redis.from_url(part.address)
    found = await client.dbsize()
    await client.aclose()
    return int(found)


async def test_redis_is_up_once_it_has_read_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens before, and answers that it is loading."""
    part = await filled(tmp_path / "redis", tmp_path / "redis.log")
    monkeypatch.setattr(local_redis, "CONFIG", local_redis.CONFIG + "key-load-delay 1000\n")
    try:
        await part.start()
        assert await keys_of(part) == KEYS
    finally:
        await part.stop()


def cut(kept: bytes) -> bytes:
    return kept[: len(kept) * 2 // 3]


def zeros_at_the_end(kept: bytes) -> bytes:
    return kept + bytes(4096)


def flipped(kept: bytes) -> bytes:
    middle = kept.index(b"hset", len(kept) // 2) if b"hset" in kept else len(kept) // 2
    return kept[:middle] + b"\xff\xfe\xfd" + kept[middle + 3 :]


def other_bytes(kept: bytes) -> bytes:
    return random.Random(len(kept)).randbytes(len(kept))


@pytest.mark.parametrize("damage", [zeros_at_the_end, flipped, other_bytes])
async def test_a_redis_that_cannot_read_what_it_kept_starts_empty_and_says_so(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    part = await filled(tmp_path / "redis", tmp_path / "redis.log")
    kept = tmp_path / "redis/appendonly.aof"
    kept.write_bytes(damage(kept.read_bytes()))
    damaged, console = kept.read_bytes(), Said()
    part = Redis(tmp_path / "redis", tmp_path / "redis.log", console.step)
    try:
        await part.start()
        assert await keys_of(part) == 0
    finally:
        await part.stop()
    (line,) = console.steps
    assert line.startswith("redis cannot read what it kept, and starts empty")
    assert str(tmp_path / "redis/damaged.aof") in line
    assert (tmp_path / "redis/damaged.aof").read_bytes() == damaged


async def test_a_redis_whose_log_was_cut_has_what_stood_before(tmp_path: Path) -> None:
    part = await filled(tmp_path / "redis", tmp_path / "redis.log")
    kept = tmp_path / "redis/appendonly.aof"
    kept.write_bytes(cut(kept.read_bytes()))
    try:
        await part.start()
        assert 0 < await keys_of(part) < KEYS
    finally:
        await part.stop()


async def test_a_redis_that_fails_for_another_reason_keeps_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = await filled(tmp_path / "redis", tmp_path / "redis.log")
    kept = (tmp_path / "redis/appendonly.aof").read_bytes()
    monkeypatch.setattr(local_redis, "CONFIG", local_redis.CONFIG + "no-such-thing yes\n")
    with pytest.raises(StartError, match="redis ended while starting"):
        await part.start()
    assert (tmp_path / "redis/appendonly.aof").read_bytes() == kept
    assert not (tmp_path / "redis/damaged.aof").exists()


async def test_a_damaged_file_of_a_server_is_one_line(tmp_path: Path) -> None:
    part = await filled(tmp_path / "redis", tmp_path / "redis.log")
    (tmp_path / "redis/password").write_bytes(b"\xff\xfe")
    with pytest.raises(StartError, match=r"^redis cannot be started: 'ascii' codec"):
        await start_told(part, Said())


async def test_a_postgres_of_another_password_is_told_at_once(tmp_path: Path) -> None:
    part = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    await part.start()
    await part.stop()
    (tmp_path / "postgres/password").write_text("", "ascii")
    try:
        with pytest.raises(StartError, match="Its file `password` is not of its data"):
            await start_told(part, Said())
    finally:
        await part.stop()


async def test_a_server_whose_port_somebody_took_is_not_started_elsewhere(tmp_path: Path) -> None:
    part = await filled(tmp_path / "redis", tmp_path / "redis.log")
    port, console = part.port, Said()
    expected = f"port {port}, where the workers look for it"
    with socket.create_server((LOOPBACK, port)), pytest.raises(StartError, match=expected):
        await start_told(part, console, port)
    try:
        assert str(port) in await start_told(part, console, port)
    finally:
        await part.stop()


async def test_a_server_that_has_lost_its_port_is_not_taken_for_started(tmp_path: Path) -> None:
    part = await filled(tmp_path / "redis", tmp_path / "redis.log")
    port = part.port
    (tmp_path / "redis/ports.json").unlink()
    try:
        with pytest.raises(StartError, match=f"workers look for it on port {port}$"):
            await start_told(part, Said(), port)
    finally:
        await part.stop()


async def test_a_slow_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stack.parts.SAY_EVERY_S", 0.01)
    part, console = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log"), Said()
    try:
        await start_told(part, console)
        await wait_until(lambda: len(console.told) > 0, expected=True)
    finally:
        await part.stop()
    assert console.told[0].startswith("waiting for postgres, ")
    assert f"log {tmp_path}/postgres.log ends with: " in console.told[0]
