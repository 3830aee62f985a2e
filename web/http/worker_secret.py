"""What workers show each other: calls that are between them are answered to nobody else.

Loopback is open to every account of a machine. Web pages are kept away by web.http.guard, whether a
secret is set or not.
"""

from __future__ import annotations

from aiohttp.web import Request

from app.errors import UnauthorizedError
from web.http.guard import knows


class WorkerSecret:
    """headers: to send along. An empty secret is none."""

    def __init__(self, secret: str = "") -> None:
        self._expected = secret.encode()
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def check(self, request: Request) -> None:
        """Return where a worker asks; raise UnauthorizedError."""
        if self._expected and not knows(request, self._expected):
            raise UnauthorizedError(f"{request.path} needs EVENT_COUNTER_WORKER_SECRET")
