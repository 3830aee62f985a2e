"""GET /stats/rates: events per second, and how far each group is behind."""

from __future__ import annotations

from typing import Any

from aiohttp.web import Request, Response

from app.monitor.rates import RateSampler
from web.http import paths
from web.http.views import ApiView, json_response, page


def register(app: Any, sampler: RateSampler) -> None:
    """Add the view to the app of a collector."""

    @page(app, paths.RATES)
    class StatsRates(ApiView):
        """GET -> {"window_s", "received", "counted", "stored", "rejected", "lag"}."""

        async def get(self, _request: Request) -> Response:
            return json_response(sampler.current().as_dict())
