"""GET /, /explore and /generator: the pages; GET /static/{name}: what they are made of.

The policy lets a page load and ask nothing but this server, and run no script or style that
stands in its markup: what people send as urls, types or names can never become code.
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp.web import Request, Response

from app.errors import NotFoundError
from web.http import paths
from web.http.views import ApiView, page
from web.pages.files import CHART_FILES, answer, load
from web.pages.install import AGAIN

log = logging.getLogger(__name__)

PAGES = ("dashboard.html", "explore.html", "generator.html")
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "worker-src": "'self'",
    "base-uri": "'self'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked again, answered with 304 while nothing changed
}


def register(app: Any, base_path: str = "") -> None:
    """Add the pages to the app of a collector; base_path: below which people see them."""
    files = load()
    base = f'<head>\n<base href="{base_path}/">'.encode()
    pages = {name: files[name].with_text(b"<head>", base) for name in PAGES}
    if missing := [name for name in CHART_FILES if name not in files]:
        log.warning("the pages show no charts: %s is not installed; run: %s", missing, AGAIN)

    @page(app, paths.DASHBOARD)
    class Dashboard(ApiView):
        """GET -> the dashboard."""

        async def get(self, request: Request) -> Response:
            return answer(request, pages["dashboard.html"], HEADERS)

    @page(app, paths.EXPLORE)
    class Explore(ApiView):
        """GET -> the page of one counter."""

        async def get(self, request: Request) -> Response:
            return answer(request, pages["explore.html"], HEADERS)

    @page(app, paths.GENERATOR)
    class GeneratorPage(ApiView):
        """GET -> the load generator."""

        async def get(self, request: Request) -> Response:
            return answer(request, pages["generator.html"], HEADERS)

    @page(app, paths.STATIC)
    class Static(ApiView):
        """GET -> a file of the pages."""

        async def get(self, request: Request, name: str) -> Response:
            file = files.get(name)
            if file is None:
                raise NotFoundError(f"there is no file {name}")
            return answer(request, file, HEADERS)
