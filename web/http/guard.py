"""Who may make a call: by the name it was asked under, the page it comes from, and the read token.

A web page of a stranger can make its reader's browser send anything here, and may read the answer
of what looks like its own server: DNS rebinding (a name that suddenly means 127.0.0.1), WebSockets,
which no browser keeps to their own origin. So figures are answered under known names only, and to
no page but our own; events are taken from the origins that the settings list.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp.hdrs import (
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD,
    AUTHORIZATION,
    HOST,
    ORIGIN,
    VARY,
)
from aiohttp.web import Request

from app.errors import HostNotAllowedError, OriginNotAllowedError, UnauthorizedError
from app.settings import Settings
from app.text import is_address, listed
from web.http.paths import Call, Kind
from web.http.quick import MoreHead

ANY = "*"
LOOPBACK = "localhost"
MAX_AGE_S = 7200  # that a browser remembers a preflight; Chromium's limit
SENT_HEADERS = (
    "content-type, content-encoding, authorization, idempotency-key, x-token"
    ", x-retry-count, x-umami-cache"  # of other clients, see web.ingest
)
READ_HEADERS = "retry-after, x-event-position, x-plausible-dropped"
SHOWN_MAX = 60  # characters of a name in a message
FOR_ALL = {Kind.PAGE, Kind.PROBE}  # no figures of events in them


class Guard:
    """The rules of a server. What it serves undeclared is judged as figures are."""

    def __init__(self, settings: Settings, read_token: str = "") -> None:
        """read_token: of figures; empty: none is asked for, as between workers."""
        self._names = known_names(settings)
        self._own_names = {name_of(host) for host in listed(settings.hosts)}
        origins = listed(settings.origins)
        self._takes_origins = bool(origins)
        self._varying = MoreHead.of({VARY: ORIGIN})
        self._cors = {origin: _cors(origin) for origin in origins}
        self._token = read_token.encode()

    def check(self, request: Request, call: Call | None) -> MoreHead | None:
        """Return what the answer carries for a browser; call: None where none is declared.

        Raises HostNotAllowedError, OriginNotAllowedError, UnauthorizedError.
        """
        origin = request.headers.get(ORIGIN)
        if call is not None and call.kind is Kind.EVENTS:
            return self._check_sender(request, origin) if self._takes_origins else None
        if call is None or call.kind not in FOR_ALL:
            self._check_reader(request, call, origin)
        return None

    def preflight(self, request: Request, asked: Call | None) -> Mapping[str, str] | None:
        """Return the headers that answer a browser's question before it sends events.

        asked: what it wants to call. None: the call is not for pages of other origins. Raises
        OriginNotAllowedError.
        """
        origin = request.headers.get(ORIGIN)
        if not self._takes_origins or origin is None or asked is None:
            return None
        if asked.kind is not Kind.EVENTS:
            return None
        cors = self._check_sender(request, origin)
        return {
            **cors.headers,
            ACCESS_CONTROL_ALLOW_METHODS: asked.method,
            ACCESS_CONTROL_ALLOW_HEADERS: SENT_HEADERS,
            ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_S),
        }

    def _check_sender(self, request: Request, origin: str | None) -> MoreHead:
        if origin is None:
            return self._varying
        if found := self._cors.get(origin) or self._cors.get(ANY):
            return found
        if self._is_own(origin, request):
            return self._varying
        raise OriginNotAllowedError(f"{origin[:SHOWN_MAX]} may not send events here")

    def _check_reader(self, request: Request, call: Call | None, origin: str | None) -> None:
        host = request.headers.get(HOST)
        if host is not None and not self._is_known(host):
            raise HostNotAllowedError(f"{host[:SHOWN_MAX]} is not a name of this server")
        is_internal = call is not None and call.kind is Kind.INTERNAL
        if origin is not None and (is_internal or not self._is_own(origin, request)):
            raise OriginNotAllowedError(f"{origin[:SHOWN_MAX]} may not read figures")
        if self._token and not knows(request, self._token):
            raise UnauthorizedError(f"{request.path} needs the read token")

    def _is_known(self, host: str) -> bool:
        name = name_of(host)
        return (
            name == LOOPBACK
            or name.endswith(f".{LOOPBACK}")
            or name in self._names
            or ANY in self._names
            or is_address(name)  # no DNS is asked for it, so nobody can rebind it
        )

    def _is_own(self, origin: str, request: Request) -> bool:
        """Whether a page is one of ours: it was loaded from the name that it asks now."""
        netloc = origin.partition("://")[2].lower()
        if not netloc:  # "null", of a page without an origin
            return False
        return netloc == request.headers.get(HOST, "").lower() or name_of(netloc) in self._own_names


def known_names(settings: Settings) -> set[str]:
    """Return the names that this machine's workers are asked under, by settings."""
    urls = [*listed(settings.count_urls)]
    urls += [url for _, _, url in (one.partition("=") for one in listed(settings.watched_workers))]
    hosts = [*listed(settings.hosts), settings.http_host, settings.worker_host]
    return {name_of(host) for host in hosts} | {urlsplit(url).hostname or "" for url in urls}


@lru_cache(maxsize=256)
def name_of(host: str) -> str:
    """Return the name in a Host header, in lower case and without port: ::1 of [::1]:8000."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].rstrip(".") if ":" in host else host.rstrip(".")


def wanted_method(request: Request) -> str:
    """Return the method that a preflight asks about."""
    return request.headers.get(ACCESS_CONTROL_REQUEST_METHOD, "")


def _cors(origin: str) -> MoreHead:
    return MoreHead.of(
        {
            ACCESS_CONTROL_ALLOW_ORIGIN: origin,
            ACCESS_CONTROL_EXPOSE_HEADERS: READ_HEADERS,
            VARY: ORIGIN,
        }
    )


def knows(request: Request, token: bytes) -> bool:
    """Return whether a request carries the token."""
    scheme, _, given = request.headers.get(AUTHORIZATION, "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode("utf-8", "surrogateescape"), token
    )
