"""GET /health, /ready, /metrics: for the supervisor, load balancers and Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp.web import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from app.errors import RecoveringError
from app.events.times import rfc3339
from app.stores.outages import away
from web.http import paths
from web.http.views import ApiView, json_response, page


def register(app: Any, ready: Callable[[], bool | str], *collectors: Collector) -> None:
    """Add the views; ready() returns True, or False or the reason why not.

    collectors: read at each scrape, beside the metrics of the process.
    """
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)

    @page(app, paths.HEALTH)
    class Health(ApiView):
        """GET -> 200 while the process answers at all."""

        async def get(self, _request: Request) -> Response:
            return json_response({"status": "alive"})

    @page(app, paths.READY)
    class Ready(ApiView):
        """GET -> 200 once this worker can do its work, else 503; with the sinks that are away."""

        async def get(self, _request: Request) -> Response:
            state = ready()
            if state is not True:
                raise RecoveringError(state or "the worker is not ready yet")
            if away:
                since = {sink: rfc3339(at) for sink, at in sorted(away.items())}
                return json_response({"status": "degraded", "away_since": since})
            return json_response({"status": "ready"})

    @page(app, paths.METRICS)
    class Metrics(ApiView):
        """GET -> all metrics of this worker in Prometheus' text format."""

        async def get(self, _request: Request) -> Response:
            body = generate_latest() + generate_latest(registry)
            return Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
