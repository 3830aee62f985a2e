"""Whose request it is: the connection's address, or what trusted proxies say it was.

X-Forwarded-For is what most proxies add to; Forwarded is RFC 7239. Each lists the hops from the
client on, and anybody may send a beginning of his own: so they are read from the end, for as long
as those who wrote it are trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp.hdrs import FORWARDED, X_FORWARDED_FOR
from aiohttp.web import Request

from app.settings import Settings
from app.text import listed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

IPV4_KEPT_BITS, IPV6_KEPT_BITS = 24, 48  # of an anonymous address
_FOR = re.compile(r'(?:^|[;,\s])for=(?:"([^"]*)"|([^;,\s]*))', re.IGNORECASE)


class Clients:
    """Tells the address of who sent a request."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = [ip_network(one, strict=False) for one in listed(settings.trusted_proxies)]

    def address(self, request: Request) -> Address | None:
        """Return it; None where it is not known: a unix socket, or a proxy that hides it."""
        peer = request.transport.get_extra_info("peername") if request.transport else None
        address = parse(str(peer[0])) if isinstance(peer, tuple) else None
        if not self._trusted:
            return address
        for hop in hops(request):
            if address is None or not any(address in network for network in self._trusted):
                break
            address = parse(hop)
        return address


def hops(request: Request) -> Iterator[str]:
    """Yield the addresses that proxies have noted, the nearest first."""
    noted = request.headers.getall(X_FORWARDED_FOR, [])
    if noted:
        yield from reversed(",".join(noted).split(","))
        return
    forwarded = ",".join(request.headers.getall(FORWARDED, []))
    yield from reversed([quoted or bare for quoted, bare in _FOR.findall(forwarded)])


def parse(text: str) -> Address | None:
    """Return the address of e.g. 192.0.2.1, 192.0.2.1:4711, [2001:db8::1]:80, ::ffff:192.0.2.1."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def anonymous(address: Address) -> Address:
    """Return the network of an address: 192.0.2.0 of 192.0.2.1, 2001:db8:1:: of 2001:db8:1:2::3."""
    bits = IPV4_KEPT_BITS if address.version == 4 else IPV6_KEPT_BITS  # noqa: PLR2004 - IP's version
    return ip_network((address, bits), strict=False).network_address
