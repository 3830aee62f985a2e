"""Live counts in Redis: counts only rise, and a loss of data is noticed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis as Client

from app.errors import SettingsError, UnavailableError
from app.stack.redis import Redis
from app.stores.live import CHUNK_ROWS, POSITIONS_KEY, LiveCounts


@pytest.fixture
async def client(make_redis: Callable[[], str]) -> AsyncIterator[Client]:
    """Return a client of an empty Redis database."""
    client = Client.from_url(make_redis(), decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
async def open_live(client: Client) -> AsyncIterator[Callable[[], LiveCounts]]:
    """Return a factory of writers to the database of `client`."""
    opened: list[LiveCounts] = []

    def open_one() -> LiveCounts:
        kw = client.connection_pool.connection_kwargs
        opened.append(LiveCounts(f"redis://:{kw['password']}@{kw['host']}:{kw['port']}/{kw['db']}"))
        return opened[-1]

    yield open_one
    for live in opened:
        await live.close()


OpenLive = Callable[[], LiveCounts]


async def test_each_url_is_a_hash_of_its_counts(client: Client, open_live: OpenLive) -> None:
    live = open_live()
    assert await live.position(0) is None
    assert await live.write(0, [("/a", {"CLICK": 2, "VIEW": 9}), ("/ü b", {"CLICK": 1})], 17)
    assert await client.hgetall("event_counter:url:/a") == {"CLICK": "2", "VIEW": "9"}
    assert await client.hgetall("event_counter:url:/ü b") == {"CLICK": "1"}
    assert await live.position(0) == 17
    assert await live.position(1) is None


async def test_a_count_only_rises(client: Client, open_live: OpenLive) -> None:
    live = open_live()
    for count in (5, 3, 6, 6):
        await live.write(0, [("/a", {"CLICK": count})], count)
    assert await client.hgetall("event_counter:url:/a") == {"CLICK": "6"}


async def test_large_counts_and_odd_texts_are_exact(client: Client, open_live: OpenLive) -> None:
    url, kind = "\x01" + "ü" * 1000, "null\n "
    await open_live().write(0, [(url, {kind: 2**53 - 1, "": 10**15})], 1)
    found = await client.hgetall(f"event_counter:url:{url}")
    assert found == {kind: str(2**53 - 1), "": str(10**15)}


async def test_many_urls_take_several_calls(client: Client, open_live: OpenLive) -> None:
    live = open_live()
    rows = [(f"/{n}", {"CLICK": n + 1}) for n in range(3 * CHUNK_ROWS + 1)]
    assert await live.write(0, rows, 5)
    assert await live.position(0) == 5
    assert len(await client.keys("event_counter:url:*")) == len(rows)


async def test_a_refresh_without_its_last_chunk_has_no_position(open_live: OpenLive) -> None:
    live = open_live()
    await live.write(0, [("/a", {"CLICK": 1})], 3)
    await live.write(0, [("/a", {"CLICK": 2})], None)
    assert await live.position(0) is None
    assert await open_live().position(0) is None
    await live.write(0, [], 4)
    assert await live.position(0) == 4


@pytest.mark.parametrize("position", [2, None])
async def test_a_flush_between_two_writes_is_noticed_by_the_second(
    client: Client, open_live: OpenLive, position: int | None
) -> None:
    live = open_live()
    await live.position(0)
    assert await live.write(0, [("/a", {"CLICK": 1})], position)
    await client.flushdb()
    assert not await live.write(0, [("/b", {"CLICK": 1})], 3)
    assert await live.position(0) is None
    assert await client.keys("*") == []


async def test_a_redis_that_went_back_in_time_is_noticed(
    client: Client, open_live: OpenLive
) -> None:
    live = open_live()
    await live.write(0, [("/a", {"CLICK": 1})], 3)
    await live.write(0, [("/a", {"CLICK": 2})], 4)
    await client.hset(POSITIONS_KEY, "0", "3")  # as an older snapshot has it
    assert not await live.write(0, [("/a", {"CLICK": 3})], 5)
    assert await live.position(0) == 3


async def test_another_writer_in_between_is_noticed(open_live: OpenLive) -> None:
    old, new = open_live(), open_live()
    await old.write(0, [("/a", {"CLICK": 1})], 3)
    assert await new.position(0) == 3
    assert await new.write(0, [("/a", {"CLICK": 2})], 4)
    assert not await old.write(0, [("/a", {"CLICK": 1})], 3)


async def test_a_redis_that_is_away_or_frozen_is_unavailable_soon(tmp_path: Path) -> None:
    part = Redis(tmp_path / "redis", tmp_path / "redis.log")
    live = LiveCounts(await part.start())
    assert await live.write(0, [("/a", {"CLICK": 1})], 1)

    part.child.signal(signal.SIGSTOP)
    async with asyncio.timeout(3):
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await live.position(0)
    part.child.signal(signal.SIGCONT)
    assert await live.position(0) == 1

    await part.stop()
    with pytest.raises(UnavailableError):
        await live.write(0, [("/a", {"CLICK": 2})], 2)
    await part.start()
    assert await live.position(0) == 1
    assert await live.write(0, [("/a", {"CLICK": 2})], 2)
    await live.close()
    await part.stop()


def test_a_url_of_something_else_is_a_bad_setting() -> None:
    with pytest.raises(SettingsError, match="EVENT_COUNTER_REDIS"):
        LiveCounts("localhost:6379")
