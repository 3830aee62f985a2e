"""All live counts of a Redis, whatever state they are in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from redis.exceptions import RedisError, ResponseError

from app.errors import RedisUnavailableError, reason
from app.kafka.watermarks import Offsets
from app.stores.connect import redis_client
from app.stores.live import POSITIONS_KEY, URL_KEY
from app.text import number_in

TIMEOUT_S = 10.0  # nobody waits for a scan
CHUNK_KEYS = 1000
NO_HASH = "no hash"

LiveText = tuple[str, str, int | None, str]  # url, type, count, text as it is in Redis


class LiveScan:
    """Reads the hashes of LiveCounts; raises RedisUnavailableError. aclose() it at the end."""

    def __init__(self, url: str) -> None:
        """url: redis://…; raises SettingsError where it is none."""
        self.redis = redis_client(url, TIMEOUT_S)

    async def positions(self) -> Offsets:
        """Return the offsets of `counts` that the hashes include; none while one is written."""
        try:
            found = await self.redis.hgetall(POSITIONS_KEY)
        except (RedisError, OSError) as exc:
            raise _away(exc) from exc
        return {int(part): int(at) for part, at in found.items() if at.isdigit()}

    async def read(self) -> AsyncIterator[list[LiveText]]:
        """Yield every url and type, in chunks, perhaps some twice.

        count: None where the text is no number. A key that is no hash: type "", text NO_HASH.
        """
        try:
            cursor = 0
            while True:
                cursor, keys = await self.redis.scan(cursor, match=f"{URL_KEY}*", count=CHUNK_KEYS)
                pipe = self.redis.pipeline(transaction=False)
                for key in keys:
                    pipe.hgetall(key)
                answers = await pipe.execute(raise_on_error=False)
                yield [row for pair in zip(keys, answers, strict=True) for row in _rows(*pair)]  # type: ignore[arg-type]
                if not cursor:
                    break
        except (RedisError, OSError) as exc:
            raise _away(exc) from exc

    async def aclose(self) -> None:
        """Disconnect."""
        await self.redis.aclose()


def _rows(key: bytes, answer: Any) -> list[LiveText]:
    url = readable(key.removeprefix(URL_KEY.encode()))
    if isinstance(answer, ResponseError):
        return [(url, "", None, NO_HASH)]
    if isinstance(answer, Exception):
        raise answer
    return [
        (url, readable(label), number_in(text), readable(text)) for label, text in answer.items()
    ]


def readable(text: bytes) -> str:
    """Return text that Postgres takes, whatever the bytes are."""
    return text.decode("utf-8", "replace").replace("\0", "�")


def _away(exc: Exception) -> RedisUnavailableError:
    return RedisUnavailableError(f"Redis is away: {reason(exc)}")
