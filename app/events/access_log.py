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

from app.errors import InvalidTimestampError, MalformedLineError, TimestampInFutureError
from app.events.event import EPOCH, FUTURE_LIMIT, Event, at_ms
from app.events.shapes import from_json
from app.text import is_address

CLIENT_PARTS = ("client", "identity", "user")
LINE_ID_HEX = 32  # 128 bits
SHOWN_MAX = 60  # characters of what is wrong, in its message
VIEW_METHODS = ("GET", "HEAD")
TIME_EXAMPLE = "17/May/2015:10:05:03 +0200"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    r"(?P<who>\S.*?) \[(?P<time>[^\[\]]{1,40})\] "
    rf"{_QUOTED.replace('(', '(?P<request>', 1)} \d{{3}} (?:\d+|-)"
    # Combined has two more; what a site appends to them is left alone.
    rf"(?: {_QUOTED} {_QUOTED}(?: .*)?)?"
)
# Of a syslog daemon, RFC 3164 or 5424: time, host and program stand before the line.
_SYSLOG = re.compile(
    r"(?:<\d{1,3}>)?(?:\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ [^\s\[:]+(?:\[\d+\])?: "
    r"|(?:1 )?\d{4}-\d\d-\d\dT\S+ \S+ (?:[^\s\[:]+(?:\[\d+\])?: |\S+ \S+ \S+ - ))"
)
_METHOD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PROTOCOL = re.compile(r"HTTP/\d{1,2}(?:\.\d)?", re.IGNORECASE)
_HOST = re.compile(r"[\w.:%-]+")  # a name, as some servers look it up
NOBODY = {"-", "unix:", "unknown"}  # no address is known
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
    text = line.decode("utf-8", "backslashreplace")
    if prefix := _SYSLOG.match(text):
        text = text[prefix.end() :]
    found = _LINE.fullmatch(text)
    if found is None:
        raise MalformedLineError("not in common or combined log format, or cut off")
    if found["request"] in {"", "-"}:
        raise _no_request("the client sent no request")
    method, target = _request_of(unescape(found["request"]))
    return from_json(
        {
            "type": "VIEW" if method in VIEW_METHODS else method,
            "url": path_of(target),
            "ip": client_of(found["who"]),
            "timestamp": _time_of(found["time"], now_ms).timestamp(),
        },
        now_ms,
    )


def _time_of(text: str, now_ms: int) -> datetime:
    """Return the moment that a line says; what is wrong is told as the line has it."""
    time = parse_time(text)
    if time < EPOCH:
        raise InvalidTimestampError(f"the time {text!r} is before 1970")
    if time > at_ms(now_ms) + FUTURE_LIMIT:
        raise TimestampInFutureError(
            f"the time {text!r} is over a day in the future: check the clock of the web server, "
            "its zone, and the clock here"
        )
    return time


def _request_of(line: str) -> tuple[str, str]:
    """Return method and target of a request line; raise MalformedLineError."""
    method, _, rest = line.partition(" ")
    target, _, protocol = rest.strip(" ").rpartition(" ")
    if not _PROTOCOL.fullmatch(protocol):  # of HTTP/0.9, or the end of a path with a space
        target = rest
    target = target.strip(" ")
    if not target or not _METHOD.fullmatch(method):
        raise _no_request("the request is not HTTP")
    return method, target


def _no_request(text: str) -> MalformedLineError:
    error = MalformedLineError(text)
    error.in_format = True
    return error


def client_of(who: str) -> str | None:
    """Return who sent a request, from what a line has before its time; None where it is not known.

    That is client, identity and user; some servers write the virtual host before the client, a port
    behind it, quotes around it, or all addresses of an X-Forwarded-For, the client first. Raises
    MalformedLineError for anything else.
    """
    parts = who.split(" ")
    client = _bare(parts[0])
    has_more = len(parts) > len(CLIENT_PARTS) and not parts[0].endswith(",")
    if has_more and not is_address(client) and is_address(_bare(parts[1])):
        client = _bare(parts[1])
    if len(parts) < len(CLIENT_PARTS):
        raise MalformedLineError("client, identity or user is missing")
    if client in NOBODY:
        return None
    if not _HOST.fullmatch(client):
        raise MalformedLineError(f"{client[:SHOWN_MAX]!r} is not a client address")
    return client


def _bare(text: str) -> str:
    """Return an address without quotes, comma and port: 192.0.2.1 of "192.0.2.1:5123,"."""
    text = text.strip('",')
    if text.startswith("["):
        return text[1:].partition("]")[0]
    address, _, port = text.rpartition(":")
    return address if port.isdigit() and "." in address and ":" not in address else text


def parse_time(text: str) -> datetime:
    """Return the moment of e.g. 17/May/2015:10:05:03 +0200, in UTC; names of months are English."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidTimestampError(f"the time {text!r} is not in the form of {TIME_EXAMPLE}")
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
        raise InvalidTimestampError(
            f"the time {text!r} does not exist; right is e.g. {TIME_EXAMPLE}"
        ) from exc


def path_of(target: str) -> str:
    """Return the path of a request's target: no query, no fragment and, from a proxy, no origin."""
    path = target.partition("?")[0].partition("#")[0]
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


class LogLines:
    """Names the lines of one log: the same wherever the log lies, packed, renamed or grown.

    first: the log's first line, which tells it from others. name: tells apart logs that begin with
    the same line.
    """

    def __init__(self, first: bytes, name: str = "") -> None:
        self._begun = hashlib.sha256(f"{name}\n".encode() + first + b"\n")

    def message_id(self, number: int, line: bytes) -> str:
        """Return the message_id of a line by its number, from 1, and its text."""
        digest = self._begun.copy()
        digest.update(b"%d\n" % number + line)
        return f"log:{digest.hexdigest()[:LINE_ID_HEX]}"
