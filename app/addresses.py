"""Addresses, names and keys in settings: what is wrong with one, told before anything is made.

Each check raises ValueError: a PartError that shows the part which is wrong, or one that shows
nothing of a value that may hold a password. An empty setting is nobody's address, and fine.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from ipaddress import ip_network
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from app.allowed import PartError, shown
from app.text import is_address, keyed, listed

LISTED_MAX = 1000  # origins in one setting
PORT_MAX = 65_535
PORT_DIGITS_MAX = 9  # leading zeros are harmless; what is longer is no port
PORTS = f"a port is a number from 1 to {PORT_MAX:,}"
KAFKA = f"host:port, such as kafka.example.net:9092 or [::1]:9092; {PORTS}"
WORKER = f"a URL such as http://count-1.example.net:6067; {PORTS}"
ORIGIN = (
    "an origin: scheme://host[:port] as browsers send it, such as https://shop.example, without "
    "path or wildcard; * alone allows any origin"
)
NAME = (
    "a host name such as counter.example.net, without scheme, path or wildcard; * alone allows "
    "any name"
)
HOST = "a host name or an IP address; the port has a setting of its own"
ESCAPED = "in user and password, write special characters as %XX: / as %2F, @ as %40"
ENCODED = "whsec_"  # as Standard Webhooks write a key, standardwebhooks.com
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# Of an address of Redis: with any scheme, with those of a network, with rediss.
REDIS_OPTIONS = (
    *("db", "username", "password", "client_name", "protocol", "max_connections"),
    *("encoding", "encoding_errors"),
    *("socket_timeout", "socket_connect_timeout", "socket_read_size"),
    *("health_check_interval", "retry_on_timeout"),
)
REDIS_NET_OPTIONS = ("socket_keepalive",)
REDIS_TLS_OPTIONS = (
    *("ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile", "ssl_keyfile", "ssl_password"),
    *("ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"),
    *("ssl_include_verify_flags", "ssl_exclude_verify_flags"),
)
DEFAULT_PORTS = {"http": ":80", "https": ":443"}  # which no browser sends

_KAFKA = re.compile(r"[^\s/@,]+(,[^\s/@,]+)*")
_HOST_PORT = re.compile(r"(?P<host>\[[^\[\]\s]+\]|[^\[\]\s:/@*.][^\[\]\s:/@*]*)(?::(?P<port>.*))?")


def check_kafka(text: str) -> None:
    """host:port[,host:port]; without a port it is 9092, as for all clients of Kafka."""
    if text and not _KAFKA.fullmatch(text):
        raise ValueError(
            "give host:port[,host:port] alone; how to get in is said by "
            "EVENT_COUNTER_KAFKA_SECURITY, _USER and _PASSWORD"
        )
    for address in listed(text):
        if not _is_host_port(address):
            raise _wrong(address, KAFKA)


def check_postgres(dsn: str) -> None:
    """As asyncpg reads it: several hosts, sockets, and hosts or ports among the parameters."""
    if not dsn:
        return
    parts = _with_user(_url(dsn, "postgresql", "postgres"))
    if parts.netloc.count("@") > 1:  # asyncpg takes the first, and the rest for the host
        raise ValueError(ESCAPED)
    try:
        named = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    except ValueError:
        raise ValueError("what follows the ? is not name=value&name=value") from None
    hosts, given = unquote(parts.netloc.rpartition("@")[2]), named.get("host", [""])[-1]
    for host in [one for some in (hosts, given) if some for one in some.split(",")]:
        # A folder is that of a socket. Without a number behind its colon a host has the default.
        if not host.startswith("/") and not _is_host_port(host.removesuffix(":")):
            raise ValueError(f"a host is missing, or its port is invalid: {PORTS}; {ESCAPED}")
    if not all(map(_is_port, filter(None, named.get("port", [""])[-1].split(",")))):
        raise ValueError(PORTS)
    if named.get("sslmode", ["prefer"])[-1] not in SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")


def check_redis(url: str) -> None:
    """redis:// or rediss://, on this machine where no host is named; unix:// with a path."""
    if not url:
        return
    if (parts := _url(url, "redis", "rediss", "unix")).scheme != "unix":
        _with_user(parts)
    known = redis_options(parts.scheme)
    for name in parse_qs(parts.query, keep_blank_values=True):
        if name in known:
            continue
        if "@" in parts.query:  # a ? in the password, perhaps: its rest is not shown
            raise ValueError(ESCAPED)
        if name in REDIS_TLS_OPTIONS:
            raise ValueError(f"{name} is for an address that begins with rediss://")
        raise ValueError(f"{shown(name)} is not one of its options: {', '.join(known)}")


def redis_options(scheme: str) -> tuple[str, ...]:
    """Return what may follow the ? of an address of Redis."""
    if scheme == "unix":
        return REDIS_OPTIONS
    return (*REDIS_OPTIONS, *REDIS_NET_OPTIONS, *(REDIS_TLS_OPTIONS if scheme == "rediss" else ()))


def check_http(url: str) -> None:
    """http(s)://host[:port], and whatever follows."""
    if url and not _url(url, "http", "https").hostname:
        raise ValueError("the host is missing")


def check_workers(text: str) -> None:
    """URLs of workers, separated by commas."""
    for url in listed(text):
        _check_worker(url)


def check_named_workers(text: str) -> None:
    """name=URL, separated by commas."""
    for pair in listed(text):
        name, _, url = pair.partition("=")
        if not name.strip() or not url.strip():
            raise _wrong(pair, "name=URL, such as count-1=http://count-1.example.net:6067")
        _check_worker(url.strip())


def check_host(host: str) -> None:
    """What a server listens on, or is reached at."""
    found = _HOST_PORT.fullmatch(host)
    if not is_address(host) and (not found or host.startswith("[") or found["port"] is not None):
        raise _wrong(host, HOST)


def check_names(text: str) -> None:
    """Host names as a Host header has them, with or without a port, separated by commas."""
    for name in listed(text):
        if name != "*" and not is_address(name) and not (name.isascii() and _is_host_port(name)):
            raise _wrong(name, NAME)


def check_networks(text: str) -> None:
    """Addresses or networks, separated by commas."""
    for network in listed(text):
        ip_network(network, strict=False)


def check_keys(text: str) -> None:
    """key=app, separated by commas."""
    keyed(text)


def signing_key(secret: str) -> bytes:
    """Return the key that a webhook secret stands for: behind whsec_ in base64, else itself."""
    if not secret.startswith(ENCODED):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(ENCODED) + "==")
    except ValueError:  # binascii.Error is one
        key = b""
    if not key:
        raise ValueError(f"what follows {ENCODED} is not a key in base64; is it cut off?")
    return key


def origins_of(text: str) -> str:
    """Return origins as browsers send them, in lower case: they are compared as text."""
    origins = [one.lower().rstrip("/") for one in listed(text)]
    if len(origins) > LISTED_MAX:
        raise ValueError(f"list at most {LISTED_MAX}")
    return ",".join("*" if origin == "*" else _origin(origin) for origin in origins)


# By setting.
CHECKS: dict[str, Callable[[str], object]] = {
    "http_host": check_host,
    "hosts": check_names,
    "trusted_proxies": check_networks,
    "kafka": check_kafka,
    "postgres": check_postgres,
    "redis": check_redis,
    "worker_host": check_host,
    "count_urls": check_workers,
    "webhook_url": check_http,
    "webhook_secret": signing_key,
    "write_keys": check_keys,
    "watched_workers": check_named_workers,
}


def _origin(origin: str) -> str:
    scheme, is_url, host = origin.partition("://")
    # Browsers send a name that is not ASCII in its form xn--….
    if not is_url or not scheme or not host.isascii() or not _is_host_port(host):
        raise _wrong(origin, ORIGIN)
    return origin.removesuffix(DEFAULT_PORTS.get(scheme, " "))


def _check_worker(url: str) -> None:
    try:
        check_http(url)
    except ValueError:
        raise _wrong(url, WORKER) from None


def _url(url: str, *schemes: str) -> SplitResult:
    """Return the parts of a URL; what it says of a fault holds no part of it."""
    try:
        parts = urlsplit(url)
        port = parts.port if "," not in parts.netloc else None  # of several hosts: see there
    except ValueError:
        raise ValueError(f"it is not a valid URL: {PORTS}; {ESCAPED}") from None
    if parts.scheme not in schemes:
        begins = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"give an address that begins with {begins}")
    if port == 0:
        raise ValueError(PORTS)
    return parts


def _with_user(parts: SplitResult) -> SplitResult:
    """Return the parts of a URL; raise ValueError where a / or # in its password ends the host."""
    if "@" in parts.path + parts.fragment:
        raise ValueError(ESCAPED)
    return parts


def _is_host_port(text: str) -> bool:
    """Whether it is a host, an IPv6 address in brackets, with or without a port."""
    found = _HOST_PORT.fullmatch(text)
    if found is None or (found["port"] is not None and not _is_port(found["port"])):
        return False
    host = found["host"]
    return not host.startswith("[") or is_address(host[1:-1])


def _is_port(text: str) -> bool:
    is_number = text.isascii() and text.isdigit() and len(text) <= PORT_DIGITS_MAX
    return is_number and 1 <= int(text) <= PORT_MAX


def _wrong(part: str, is_not: str) -> ValueError:
    if "@" in part:  # user:password@host
        return ValueError(f"one of them is not {is_not}")
    return PartError(f"{shown(part)} is not {is_not}")
