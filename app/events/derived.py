"""Names that follow from an event: its website, its page, what an ad did. Pure."""

from __future__ import annotations

import string

from app.events.event import Event

ROOT = "root"  # the page of a url that names none
AD_CLICK, AD_IMPRESSION = "AdClick", "AdImpression"

_BEHIND_SCHEME = frozenset("/?#")
# Letters of ASCII only, as in the names of hosts: others may become longer.
_LOWER = {ord(letter): letter.lower() for letter in string.ascii_uppercase}

AD_KINDS = {AD_IMPRESSION: "impressions", AD_CLICK: "clicks"}


def website(url: str) -> str:
    """Return the host and port of a url, without a scheme: google.com of google.com/kill.

    As in RFC 3986: it ends at the first of / ? #, who logs in is left out, and case does not
    matter. Empty for a path alone, as in /products.
    """
    authority = _without_scheme(url).partition("/")[0]
    if "?" in authority or "#" in authority:
        authority = authority.partition("?")[0].partition("#")[0]
    host = authority.rpartition("@")[2] if "@" in authority else authority
    return host.lower() if host.isascii() else host.translate(_LOWER)


def page_name(url: str) -> str:
    """Return what stands after the last slash, without a scheme: kill of google.com/kill."""
    _, slash, name = _without_scheme(url).rpartition("/")
    return name if slash and name else ROOT


def ad_kind(event: Event) -> str | None:
    """Return `impressions` or `clicks` for an event of an ad, None for any other."""
    return None if event.ad_id is None else AD_KINDS.get(event.type)


def _without_scheme(url: str) -> str:
    before, found, rest = url.partition("://")
    # Not the "://" of another address, as in /go?to=https://example.net
    return rest if found and _BEHIND_SCHEME.isdisjoint(before) else url
