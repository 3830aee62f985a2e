"""What workers show each other: calls that are between them are answered to nobody else.

Loopback is open to every account, and to every web page that a browser of this machine shows: a
WebSocket goes to any address, and only the page's Origin tells. So an Origin is refused always, and
the secret is asked for wherever one is set.
"""

from __future__ import annotations

from aiohttp.web import Request

from app.errors import UnauthorizedError
from web.http.read_token import knows


class WorkerSecret:
    """headers: to send along. An empty secret is none."""

    def __init__(self, secret: str = "") -> None:
        self._expected = secret.encode()
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def check(self, request: Request) -> None:
        """Return where a worker asks; raise UnauthorizedError."""
        if "Origin" in request.headers:
            raise UnauthorizedError(f"{request.path} is between workers, not for web pages")
        if self._expected and not knows(request, self._expected):
            raise UnauthorizedError(f"{request.path} needs EVENT_COUNTER_WORKER_SECRET")
