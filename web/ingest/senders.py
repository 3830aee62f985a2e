"""What a request says about its sender, where its events do not say it themselves.

A browser that sends an event itself names the page it is on and what it is in its headers; a
server that passes events on does so, too, but about itself. Browsers are known by the headers that
only they send.
"""

from __future__ import annotations

from typing import NamedTuple

from aiohttp.hdrs import ORIGIN, REFERER, USER_AGENT
from aiohttp.web import Request

from app.events.event import REFERRER_MAX_BYTES, USER_AGENT_MAX_BYTES, Event
from app.events.url_rules import UrlRules, load
from app.settings import Settings
from web.http.client import Clients, anonymous

FETCH_MODE = "Sec-Fetch-Mode"  # of every request of a browser, but not from plain http


class Sender(NamedTuple):
    """Fields for events that lack them; rules: for their urls."""

    app_name: str | None = None
    ip: str | None = None
    referrer: str | None = None
    user_agent: str | None = None
    rules: UrlRules | None = None

    def complete(self, event: Event) -> None:
        """Fill in what is missing; an empty text says that there is nothing to fill in."""
        event.app_name = event.app_name or self.app_name
        event.ip = event.ip or self.ip
        referrer, agent = event.referrer, event.user_agent
        event.referrer = (self.referrer if referrer is None else referrer) or None
        event.user_agent = (self.user_agent if agent is None else agent) or None
        if self.rules is not None:
            self.rules.apply(event)


class Senders:
    """Finds the sender of each request."""

    def __init__(self, settings: Settings) -> None:
        """Raise SettingsError for rules that cannot be read."""
        self._clients = Clients(settings)
        self._client_ip = settings.client_ip
        self._rules = load(settings.url_rules)
        self._always = self._client_ip != "none" or self._rules is not None

    def of(
        self, request: Request, app_name: str | None = None, *, is_browser: bool = False
    ) -> Sender | None:
        """Return what completes the events of a request; None where nothing does."""
        headers = request.headers
        is_browser = is_browser or ORIGIN in headers or FETCH_MODE in headers
        if not is_browser:
            if not self._always and app_name is None:
                return None
            return Sender(app_name, self._ip(request), rules=self._rules)
        return Sender(
            app_name,
            self._ip(request),
            _fitting(headers.get(REFERER), REFERRER_MAX_BYTES),
            _fitting(headers.get(USER_AGENT), USER_AGENT_MAX_BYTES),
            self._rules,
        )

    def _ip(self, request: Request) -> str | None:
        if self._client_ip == "none":
            return None
        address = self._clients.address(request)
        if address is None:
            return None
        return str(anonymous(address) if self._client_ip == "anonymous" else address)


def _fitting(text: str | None, most: int) -> str | None:
    """Return a header's text cut to so many bytes, without what is no text."""
    if text is None:
        return None
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore").replace("\0", "")
