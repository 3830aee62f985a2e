"""Whose request it is, whatever the client claims and the proxies note."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from app.errors import SettingsError
from app.settings import Settings
from web.http.client import Clients, anonymous, parse

PROXY = "10.0.0.1"
NETWORKS = "10.0.0.0/8, 2001:db8:ff::1"


def address(peer: str, trusted: str = NETWORKS, **headers: str) -> str:
    """Return the address of a request from a peer."""
    transport = Mock()
    transport.get_extra_info = lambda name: (peer, 4711) if name == "peername" else None
    named: Any = CIMultiDict((k.replace("_", "-"), v) for k, v in headers.items())
    request = make_mocked_request("GET", "/", headers=named, transport=transport)
    return str(Clients(Settings(trusted_proxies=trusted)).address(request))


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.4, 203.0.113.9", "203.0.113.9"),
        ("198.51.100.4, 203.0.113.9, 10.2.3.4", "203.0.113.9"),
        ("10.9.9.9, 10.2.3.4", "10.9.9.9"),
        ("203.0.113.9:5123", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:80", "2001:db8::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, unknown", "None"),
        ("", "None"),
    ],
)
def test_the_last_that_is_not_trusted_sent_it(forwarded: str, expected: str) -> None:
    assert address(PROXY, X_Forwarded_For=forwarded) == expected
    assert address("203.0.113.77", X_Forwarded_For=forwarded) == "203.0.113.77"
    assert address(PROXY, trusted="", X_Forwarded_For=forwarded) == PROXY


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ("for=198.51.100.4, for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
        ('proto=http;For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ('for="203.0.113.9:80", for=10.1.1.1', "203.0.113.9"),
        ("for=_hidden", "None"),
    ],
)
def test_the_header_of_the_standard_is_read_too(forwarded: str, expected: str) -> None:
    assert address(PROXY, Forwarded=forwarded) == expected


def test_without_a_header_it_is_the_connections() -> None:
    assert address(PROXY) == PROXY
    assert address("::ffff:203.0.113.9") == "203.0.113.9"
    assert address("2001:db8:ff::1", X_Forwarded_For="203.0.113.9") == "203.0.113.9"


def test_an_anonymous_address_is_its_network() -> None:
    found = {"203.0.113.9": "203.0.113.0", "2001:db8:1:2:3::4": "2001:db8:1::"}
    for text, expected in found.items():
        given = parse(text)
        assert given is not None
        assert str(anonymous(given)) == expected


def test_what_is_no_network_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="EVENT_COUNTER_TRUSTED_PROXIES"):
        Settings.from_env({"EVENT_COUNTER_TRUSTED_PROXIES": "10.0.0.0/8,proxy.example"})
