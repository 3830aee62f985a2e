"""What a worker says of itself."""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from app.stack.workers import WorkerProcess


async def state_of(worker: WorkerProcess) -> tuple[str, set[str]]:
    """Return the status of GET /ready, and which sinks are away."""
    async with aiohttp.ClientSession(worker.url) as http, http.get("/ready") as answer:
        said = await answer.json()
    return said.get("status", "unready"), {*said.get("away_since", ())}


async def away_seconds(worker: WorkerProcess, sink: str) -> float:
    """Return how long a sink has been away; it grows with each attempt."""
    async with aiohttp.ClientSession(worker.url) as http, http.get("/metrics") as answer:
        text = await answer.text()
    samples = (one for family in text_string_to_metric_families(text) for one in family.samples)
    return sum(
        one.value
        for one in samples
        if one.name == "event_counter_sink_away_seconds_total" and one.labels["sink"] == sink
    )
