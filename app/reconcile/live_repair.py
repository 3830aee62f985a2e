"""Counts in Redis are set right while count workers raise them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.errors import RedisUnavailableError, reason
from app.stores.live import POSITIONS_KEY, URL_KEY

# ARGV: prefix of the hashes, rows [url, [[type, count, text]]] as MessagePack. text: what was found
# where it must be lowered; empty: only raise. Returns [raised, [url, type of what was lowered]].
# What is no hash or no number is replaced: the count workers cannot, they stumble over it.
REPAIR = """
local raised, lowered = 0, {}
for _, row in ipairs(cmsgpack.unpack(ARGV[2])) do
  local key = ARGV[1] .. row[1]
  local kind = redis.call('type', key).ok
  if kind ~= 'hash' and kind ~= 'none' then redis.call('del', key) end
  for _, cell in ipairs(row[2]) do
    local label, count, found = cell[1], cell[2], cell[3]
    local kept = redis.call('hget', key, label)
    local sound = kept and #kept <= 18 and string.match(kept, '^%d+$')
    local over = kept and (not sound or (kept == found and tonumber(kept) > count))
    if over then table.insert(lowered, {row[1], label}) end
    if over and count == 0 then redis.call('hdel', key, label)
    elseif over then redis.call('hset', key, label, count)
    elseif count > 0 and (not kept or tonumber(kept) < count) then
      redis.call('hset', key, label, count)
      raised = raised + 1
    end
  end
end
return cmsgpack.pack({raised, lowered})
"""

Cell = tuple[str, int, str]  # type, count, text that was found where it must be lowered
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[int, list[tuple[str, str]] | dict[str, str]]).decode


class LiveRepair:
    """Writes to the hashes of LiveCounts; raises RedisUnavailableError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._repair = redis.register_script(REPAIR)

    async def write(
        self, rows: Sequence[tuple[str, list[Cell]]]
    ) -> tuple[int, list[tuple[str, str]]]:
        """Write counts of some urls; return how many were raised, (url, type) of the lowered."""
        try:
            answer: Any = await self._repair(args=[URL_KEY, _pack(rows)])
        except (RedisError, OSError) as exc:
            raise RedisUnavailableError(f"Redis is away: {reason(exc)}") from exc
        raised, lowered = _unpack(answer)
        return raised, lowered if isinstance(lowered, list) else []  # Lua's empty table

    async def free_positions(self) -> None:
        """Delete the positions where they are no hash: the count workers could not write then."""
        try:
            if await self._redis.type(POSITIONS_KEY) not in (b"hash", b"none"):
                await self._redis.delete(POSITIONS_KEY)
        except (RedisError, OSError) as exc:
            raise RedisUnavailableError(f"Redis is away: {reason(exc)}") from exc
