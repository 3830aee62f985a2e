"""GET /tracker.js: what websites include to have their page views counted."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp.web import Request, Response

from app.errors import NotFoundError
from web.http import paths
from web.http.views import ApiView, page
from web.pages.files import File, answer
from web.pages.install import SMALL_TRACKER

log = logging.getLogger(__name__)

MAX_AGE_S = 86_400  # a browser asks once a day whether it changed
HEADERS = {
    "Cache-Control": f"public, max-age={MAX_AGE_S}",
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",  # for <script crossorigin integrity>
    "Cross-Origin-Resource-Policy": "cross-origin",
}
MISSING = "tracker.js was not made small when the pages were installed; run: make charts"


def register(app: Any) -> None:
    """Add the view to the app of a collector."""
    file = File.read(SMALL_TRACKER) if SMALL_TRACKER.is_file() else None
    if file is None:
        log.warning(MISSING)

    @page(app, paths.TRACKER)
    class Tracker(ApiView):
        """GET -> the script."""

        async def get(self, request: Request) -> Response:
            if file is None:
                raise NotFoundError(MISSING)
            return answer(request, file, HEADERS)
