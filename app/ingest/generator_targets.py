"""Where generated events go: to a collector over HTTP, or straight to the topic."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import aiohttp

from app.errors import KafkaUnavailableError, StartError, reason
from app.events.packing import PackedRecord
from app.ingest.collector import Collector
from app.settings import Settings

ANSWER_S = 30.0
PATIENCE_S = 10.0  # longer than the collector's: what is slow is only slow
AGAIN_S = 0.5
CONNECT_S = 15.0


class NotTakenError(Exception):
    """A batch that was not acknowledged; any part of it may be stored.

    again_s: when to go on, in seconds.
    """

    def __init__(self, reason: str, again_s: float = AGAIN_S) -> None:
        super().__init__(reason)
        self.again_s = again_s


class Taken(NamedTuple):
    """What became of a batch."""

    acknowledged: int
    rejected: int


class Target(Protocol):
    """Takes batches, several at the same time."""

    async def __aenter__(self) -> Self:
        """Connect; raise StartError."""
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect."""
        ...

    async def send(self, records: Sequence[PackedRecord]) -> Taken:
        """Return when Kafka has acknowledged them; raise NotTakenError."""
        ...


class HttpTarget:
    """POST /events of a collector, NDJSON."""

    def __init__(self, url: str, write_key: str = "") -> None:
        """write_key: empty where none is asked for."""
        self._url = url
        self._headers = {"Authorization": f"Bearer {write_key}"} if write_key else {}

    async def __aenter__(self) -> Self:
        """Connect; raise StartError where nobody answers, or another write key is asked for."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ANSWER_S), headers=self._headers
        )
        try:
            async with self._session.post(f"{self._url}/events", data=b"[]") as answer:
                await answer.read()
        except (aiohttp.ClientError, OSError) as exc:
            await self._session.close()
            raise StartError(
                f"Nothing answers at {self._url} ({reason(exc)}). Start it: event-counter run; or "
                "set EVENT_COUNTER_DATA_DIR to where it runs, or EVENT_COUNTER_HTTP_PORT"
            ) from exc
        if answer.status == HTTPStatus.UNAUTHORIZED:
            await self._session.close()
            raise StartError(
                f"{self._url} accepts events only with a write key. Set "
                "EVENT_COUNTER_WRITE_KEYS as for the collector: the first key is sent"
            )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def send(self, records: Sequence[PackedRecord]) -> Taken:
        """Post a batch."""
        body = b"\n".join([value for _, value, _ in records])
        try:
            async with self._session.post(f"{self._url}/events", data=body) as answer:
                if not answer.ok:
                    again_s = float(answer.headers.get("Retry-After", AGAIN_S))
                    raise NotTakenError(f"HTTP {answer.status}", again_s)
                found = await answer.json()
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise NotTakenError(reason(exc)) from exc
        return Taken(found["accepted"], found["rejected"])


class KafkaTarget:
    """The topic itself, as any other producer writes to it: events stay in their shape."""

    def __init__(self, settings: Settings) -> None:
        patience = max(PATIENCE_S, settings.send_timeout_s)
        self._collector = Collector(settings.model_copy(update={"send_timeout_s": patience}))
        self._kafka = settings.kafka
        self._problem = ""

    async def __aenter__(self) -> Self:
        await self._collector.start()
        try:
            async with asyncio.timeout(CONNECT_S):
                while not self._is_ready():
                    await asyncio.sleep(0.05)
        except TimeoutError as exc:
            await self._collector.stop()
            raise StartError(f"Kafka at {self._kafka}: {self._problem}") from exc
        return self

    def _is_ready(self) -> bool:
        try:
            return self._collector.check_ready()
        except KafkaUnavailableError as exc:
            self._problem = str(exc)
            return False

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._collector.stop()

    async def send(self, records: Sequence[PackedRecord]) -> Taken:
        """Hand a batch to Kafka."""
        try:
            await self._collector.send_records(records, admitted=True)
        except KafkaUnavailableError as exc:
            raise NotTakenError(str(exc)) from exc
        return Taken(len(records), 0)
