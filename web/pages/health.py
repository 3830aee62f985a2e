"""Looks at each worker as anybody could: GET /ready and GET /metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from app.errors import KafkaUnavailableError, UnavailableError
from app.monitor.condition import (
    Conditions,
    WorkerState,
    group_findings,
    kafka_finding,
    lag_table,
    loss_findings,
    read_metrics,
    sink_findings,
    worker_finding,
)
from app.monitor.rates import Rates, RateSampler
from app.settings import Settings
from web.query.messages import Answer

LOOK = aiohttp.ClientTimeout(total=1.5, sock_connect=0.5)
OK = 200


def watched(settings: Settings) -> dict[str, str]:
    """Return the workers to look at: {name: URL}."""
    pairs = [part.partition("=") for part in settings.watched_workers.split(",") if part]
    if pairs:
        return {name.strip(): url.strip() for name, _, url in pairs}
    urls = [url.strip() for url in settings.count_urls.split(",") if url.strip()]
    return {f"count-{number}": url for number, url in enumerate(urls, 1)}


class Health:
    """What the panel of that name shows."""

    def __init__(
        self, settings: Settings, check_ready: Callable[[], bool], rates: RateSampler
    ) -> None:
        """check_ready: of the collector; raises KafkaUnavailableError with the reason."""
        self._workers, self._namespace = watched(settings), settings.namespace
        self._check_ready, self._rates = check_ready, rates
        self._conditions = Conditions()
        self._session: aiohttp.ClientSession | None = None

    async def ask(self) -> Answer:
        """Return {"findings": [...], "lag": {...}}."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=LOOK)
        looks = (self._look(name, url) for name, url in self._workers.items())
        seen = await asyncio.gather(*looks)
        rates = self._current()
        findings = [
            kafka_finding(self._kafka_problem()),
            *map(worker_finding, seen),
            *sink_findings(seen),
            *group_findings(rates),
            *loss_findings(seen),
        ]
        noted = self._conditions.note(findings, time.time_ns() // 1_000_000)
        return Answer.json({"findings": noted, "lag": lag_table(seen, self._namespace, rates)})

    async def close(self, _web_app: Any) -> None:
        """Disconnect."""
        if self._session is not None:
            await self._session.close()

    async def _look(self, name: str, url: str) -> WorkerState:
        seen = WorkerState(name)
        assert self._session is not None  # noqa: S101 - ask() has opened it
        try:
            async with self._session.get(f"{url}/ready") as answer:
                if answer.status != OK:
                    seen.problem = str((await answer.json()).get("message", answer.status))
            async with self._session.get(f"{url}/metrics") as answer:
                read_metrics(seen, await answer.text())
        except (aiohttp.ClientError, OSError, ValueError):  # TimeoutError is an OSError
            seen.answers = False
        return seen

    def _kafka_problem(self) -> str:
        try:
            return "" if self._check_ready() else "not connected"
        except KafkaUnavailableError as exc:
            return str(exc)

    def _current(self) -> Rates | None:
        try:
            return self._rates.current()
        except UnavailableError:
            return None
