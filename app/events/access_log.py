r"""Lines of web servers' access logs, common and combined format, as events. Pure.

The formats: httpd.apache.org/docs/current/mod/mod_log_config.html, "Common Log Format" and
"Combined Log Format"; nginx writes the same. In quotes, both write a quote, a backslash and what
cannot be printed as an escape (\", \\, \n, \xhh).
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from app.errors import InvalidTimestampError, MalformedLineError
from app.events.event import Event
from app.events.shapes import from_json

VIEW_METHODS = ("GET", "HEAD")
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    r"(?P<ip>\S+) \S+ .+? \[(?P<time>[^\[\]]{1,40})\] "
    rf"{_QUOTED.replace('(', '(?P<request>', 1)} \d{{3}} (?:\d+|-)"
    # Combined has two more; what a site appends to them is left alone.
    rf"(?: {_QUOTED} {_QUOTED}(?: .*)?)?"
)
_REQUEST = re.compile(r"(?P<method>[A-Za-z0-9!#$%&'*+.^_`|~-]+) (?P<target>\S.*?)(?: HTTP/\d\.\d)?")
_TIME = re.compile(r"(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d)")
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))")
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"v": b"\v"}
_ORIGIN = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")


def parse_line(line: bytes, now_ms: int) -> Event:
    """Return the event of a line: VIEW for GET and HEAD, else the method; url without query.

    now_ms: ms since 1970, what "in the future" is judged by. The uuid is left to the caller.
    Raises MalformedLineError for a line of another format or one that is cut off, else the
    RejectedError of the field that is wrong.
    """
    found = _LINE.fullmatch(line.decode("utf-8", "backslashreplace"))
    if found is None:
        raise MalformedLineError("neither common nor combined log format, or cut off")
    if found["request"] in {"", "-"}:
        raise MalformedLineError("the client sent no request")
    request = _REQUEST.fullmatch(unescape(found["request"]))
    if request is None:
        raise MalformedLineError("the request is not HTTP")
    method = request["method"]
    return from_json(
        {
            "type": "VIEW" if method in VIEW_METHODS else method,
            "url": path_of(request["target"]),
            "ip": found["ip"],
            "timestamp": parse_time(found["time"]).timestamp(),
        },
        now_ms,
    )


def parse_time(text: str) -> datetime:
    """Return the moment of e.g. 17/May/2015:10:05:03 +0200, in UTC; names of months are English."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidTimestampError(f"{text!r} is no time of an access log")
    day, month, year, hour, minute, second, east, east_minutes = found.groups()
    sign = -1 if east.startswith("-") else 1
    try:
        zone = timezone(timedelta(hours=int(east), minutes=sign * int(east_minutes)))
        local = datetime(
            *(int(year), MONTHS.index(month) + 1, int(day)),
            *(int(hour), int(minute), int(second)),
            tzinfo=zone,
        )
        return local.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidTimestampError(f"{text!r} cannot be") from exc


def path_of(target: str) -> str:
    """Return the path of a request's target, without query and, from a proxy, without origin."""
    path = target.partition("?")[0]
    if not path.startswith("/"):
        path = _ORIGIN.sub("", path) or "/"
    return path


def unescape(text: str) -> str:
    """Return what was logged in quotes as it was sent; bytes that are not UTF-8 stay escaped."""
    if "\\" not in text:
        return text
    raw = _ESCAPE.sub(
        lambda found: (
            bytes.fromhex(found[1].decode()) if found[1] else _ESCAPED.get(found[2], found[2])
        ),
        text.encode(),
    )
    return raw.decode("utf-8", "backslashreplace")


def line_uuid(file_name: str, number: int, line: bytes) -> str:
    """Return the same UUID for the same line of the same file, and for that line only."""
    digest = hashlib.sha256(f"{file_name}\n{number}\n".encode() + line).digest()
    return str(UUID(bytes=digest[:16], version=5))
