"""One connection to the server, and what its answers mean."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import http.client
import json
import math
import socket
import time
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Optional, Union
from urllib.parse import urlsplit

GZIP_FROM = 500  # bytes; less does not get smaller
RETRY_AFTER_MAX_S = 300.0  # whatever the server says
SHOWN = 200  # characters of an answer in a message
OK, BAD_REQUEST, TOO_LARGE = 200, 400, 413


@dataclass
class Taken:
    """The server has judged each event; errors: (index, code, message) of those it refused."""

    errors: list[tuple[int, str, str]]


@dataclass
class Refused:
    """The request can never be taken as it is."""

    code: str
    message: str
    too_large: bool = False


@dataclass
class Failed:
    """Not acknowledged; the same events must be sent again, after so many s at the earliest."""

    problem: str
    retry_after_s: float = 0.0


Outcome = Union[Taken, Refused, Failed]


class Connection:
    """Posts batches to URL/events; one thread at a time, but abort() by any."""

    def __init__(
        self, url: str, write_key: str, timeout_s: float, ssl_context: Optional[SSLContext]
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an address: give http://host:port or https://host")
        self._host, self._port = parts.hostname, parts.port
        self._timeout_s = timeout_s
        self._https, self._ssl_context = parts.scheme == "https", ssl_context
        self._path = parts.path.rstrip("/") + "/events"
        self._headers = {"Content-Type": "application/x-ndjson"}
        if write_key:
            self._headers["Authorization"] = f"Bearer {write_key}"
        self._link: Optional[http.client.HTTPConnection] = None

    def post(self, lines: list[bytes]) -> Outcome:
        """Send events, one JSON text each; never raises."""
        body, headers = b"\n".join(lines), self._headers
        if len(body) >= GZIP_FROM:
            body = gzip.compress(body, compresslevel=1)
            headers = {**headers, "Content-Encoding": "gzip"}
        was_open = self._link is not None
        try:
            try:
                return self._ask(body, headers, len(lines))
            except (http.client.HTTPException, OSError):
                self.close()
                if not was_open:  # else: the server had hung up on a connection that was idle
                    raise
                return self._ask(body, headers, len(lines))
        except (http.client.HTTPException, OSError) as exc:
            self.close()
            return Failed(f"{self._host}: {exc or type(exc).__name__}")

    def _ask(self, body: bytes, headers: dict[str, str], count: int) -> Outcome:
        link = self._link = self._link or self._connect()
        link.request("POST", self._path, body, headers)
        answer = link.getresponse()
        text = answer.read()
        if answer.will_close:
            self.close()
        return meaning(answer.status, answer.getheader("Retry-After") or "", text, count)

    def _connect(self) -> http.client.HTTPConnection:
        if self._https:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._ssl_context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def abort(self) -> None:
        """End a call that is on its way."""
        if (link := self._link) is not None and (sock := link.sock) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up; the next post() connects."""
        if self._link is not None:
            self._link.close()
            self._link = None


def meaning(status: int, retry_after: str, text: bytes, count: int) -> Outcome:
    """Return what an answer to so many events means.

    Only the server's own answer counts as an acknowledgement, not the 200 of a login page in the
    network between. A wrong key or address is no fault of the events: they wait for its repair.
    """
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    if status == OK and said.get("accepted", -1) + said.get("rejected", -1) == count:
        return Taken(_errors(said.get("errors"), count))
    code, message = str(said.get("code", "")), str(said.get("message", ""))
    if status in (BAD_REQUEST, TOO_LARGE) and code:
        return Refused(code, message, status == TOO_LARGE)
    shown = f"{code}: {message}" if code else text[:SHOWN].decode("utf-8", "replace")
    return Failed(f"HTTP {status} {shown}", seconds_of(retry_after, time.time()))


def _errors(said: Any, count: int) -> list[tuple[int, str, str]]:
    found = [error for error in said if isinstance(error, dict)] if isinstance(said, list) else []
    return [
        (error["index"], str(error.get("code", "")), str(error.get("message", "")))
        for error in found
        if isinstance(error.get("index"), int) and 0 <= error["index"] < count
    ]


def seconds_of(retry_after: str, now: float) -> float:
    """Return the s that a Retry-After header asks for, a number or a date; 0 for none."""
    try:
        seconds = float(retry_after)
    except ValueError:
        when = email.utils.parsedate_tz(retry_after)
        seconds = email.utils.mktime_tz(when) - now if when else 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S) if math.isfinite(seconds) else 0.0
