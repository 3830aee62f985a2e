"""Live counts in Redis: a hash per url, type -> count of all time, for any reader."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Sequence
from typing import Any

import msgspec
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app import metrics
from app.errors import RedisUnavailableError, reason
from app.kafka.tables_version import FIRST, position_key
from app.stores.connect import redis_client
from app.stores.left import LeftStates

SINK = "redis"
READONLY = "READONLY"  # in an error of its own, or in that of the script
URL_KEY = "event_counter:url:"
POSITIONS_KEY = "event_counter:positions"  # hash: partition of `counts` -> state, see LiveCounts
TIMEOUT_S = 0.5  # for each answer; a call of 1,000 urls takes Redis some 5 ms
CONNECT_S = 5.0  # for a command, which asks once
CHUNK_ROWS = 1000  # urls a call: Redis answers nobody else meanwhile

# KEYS: positions. ARGV: partition, state that must be there ("" for none), state to leave, prefix
# of the hashes, rows as MessagePack. Returns 0, and does nothing, where the state is another.
WRITE = """
if (redis.call('hget', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
for _, row in ipairs(cmsgpack.unpack(ARGV[5])) do
  local key = ARGV[4] .. row[1]
  for label, count in pairs(row[2]) do
    local kept = redis.call('hget', key, label)
    if not kept or tonumber(kept) < count then redis.call('hset', key, label, count) end
  end
end
redis.call('hset', KEYS[1], ARGV[1], ARGV[3])
return 1
"""

LiveRow = tuple[str, dict[str, int]]  # url, {type: count so far}

_pack = msgspec.msgpack.Encoder().encode


class LiveCounts:
    """Raises counts, never lowers them; notices when Redis was emptied or went back in time.

    Each write leaves a state behind and insists on the one that the last write left: a number is
    the offset of `counts` that the hashes include; anything else means that a refresh of several
    calls is not complete. So a Redis that lost data between two writes is seen by the second.
    """

    def __init__(self, url: str, version: int = FIRST) -> None:
        """url: redis://…; raises SettingsError where it is none. version: of the tables."""
        self._version = version
        # The next refresh is the retry.
        self._redis = redis_client(url, TIMEOUT_S, retry=Retry(NoBackoff(), 0))
        self._write = self._redis.register_script(WRITE)
        self._left = LeftStates[str]()

    async def position(self, partition: int) -> int | None:
        """Return the offset of `counts` that the hashes include; None: not known.

        Raises UnavailableError when Redis is away.
        """
        key = str(position_key(self._version, partition))
        found = await self._answer(self._redis.hget(POSITIONS_KEY, key))
        state = "" if found is None else bytes(found).decode()
        self._left.find(partition, state)
        return int(state) if state.isdecimal() else None

    def is_as_left(self, partition: int) -> bool:
        """As Sink."""
        return self._left.is_same(partition)

    async def write(self, partition: int, rows: Sequence[LiveRow], position: int | None) -> bool:
        """Write absolute counts, and with the last ones the position they include.

        position: None while more rows of the same refresh follow. Returns False, with nothing or
        a part of the rows written, when Redis is not as the last call left it. Raises
        UnavailableError.
        """
        for begin in range(0, max(1, len(rows)), CHUNK_ROWS):
            last = begin + CHUNK_ROWS >= len(rows)
            whole = last and position is not None
            state = str(position) if whole else f"writing {secrets.token_hex(8)}"
            if not await self._call(partition, rows[begin : begin + CHUNK_ROWS], state):
                return False
        return True

    async def _call(self, partition: int, rows: Sequence[LiveRow], state: str) -> bool:
        before = self._left.known(partition, "")
        self._left.attempt(partition, state)
        key = position_key(self._version, partition)
        args: list[Any] = [key, before, state, URL_KEY, _pack(rows)]
        with metrics.sink_seconds.labels(SINK).time():
            written = await self._answer(self._write(keys=[POSITIONS_KEY], args=args))
        if written:
            self._left.leave(partition, state)
            metrics.sink_rows.labels(SINK).inc(len(rows))
        return bool(written)

    async def ask(self) -> None:
        """Return once Redis has answered; raise UnavailableError where it does not."""
        await self._answer(self._redis.ping())

    async def close(self) -> None:
        """Disconnect."""
        await self._redis.aclose()

    async def _answer(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except (RedisError, OSError) as exc:
            if READONLY in str(exc):  # it was demoted: its name may lead to another now
                await self._redis.connection_pool.disconnect()
            raise RedisUnavailableError(f"Redis is away: {reason(exc)}") from exc


async def holds_counts(url: str) -> bool:
    """Whether counts were ever written to a Redis; raise RedisUnavailableError."""
    client = redis_client(url, CONNECT_S)
    try:
        return bool(await client.exists(POSITIONS_KEY))
    except (RedisError, OSError) as exc:
        raise RedisUnavailableError(f"Redis is away: {reason(exc)}") from exc
    finally:
        await client.aclose()
