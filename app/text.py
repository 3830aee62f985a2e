"""Text for a terminal: strangers command nothing, no password is shown. What texts mean, too."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

MASK = "***"
DIGITS_MAX = 18  # of a number that we wrote: it has 64 bits
# C0, DEL and C1: escape sequences. Marks that turn the direction of what follows, and line
# separators: text that looks like other text.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    code: f"\\u{code:04x}"
    for code in (0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
_SECRET_ARGUMENT = re.compile(r"(?i)\b((?:ssl)?password=)[^&]*")


def printable(text: object) -> str:
    """Return text in which control characters are written out: a backslash, x1b for ESC."""
    return str(text).translate(_CONTROLS)


def without_password(url: str) -> str:
    """Return an address of a server, its password replaced."""
    parts = urlsplit(url)
    account, at, host = parts.netloc.rpartition("@")
    user, colon, _ = account.partition(":")
    netloc = f"{user}{colon}{MASK if colon else ''}{at}{host}"
    query = _SECRET_ARGUMENT.sub(rf"\1{MASK}", parts.query)
    return urlunsplit(parts._replace(netloc=netloc, query=query))


@lru_cache(maxsize=256)  # one is asked about with each request
def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def url_of(host: str, port: int) -> str:
    """Return http://host:port, an IPv6 address in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listed(text: str) -> list[str]:
    """Return the parts of a setting that lists several, separated by commas."""
    return [part for one in text.split(",") if (part := one.strip())]


def number_in(text: bytes | None, digits: int = DIGITS_MAX) -> int | None:
    """Return a number of at most so many digits; None for what none of ours can be."""
    return int(text) if text and text.isdigit() and len(text) <= digits else None


def keyed(text: str) -> dict[str, str]:
    """Return key=value,… as a dict; raise ValueError for a pair without a key, or one twice."""
    found: dict[str, str] = {}
    for pair in filter(None, (pair.strip() for pair in text.split(","))):
        key, _, value = pair.partition("=")
        if not key or key in found:
            raise ValueError("give each key once, as key=app,key=app")
        found[key] = value
    return found
