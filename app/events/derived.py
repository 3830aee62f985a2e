"""Names that follow from an event: its website, its page, what an ad did. Pure."""

from __future__ import annotations

from app.events.event import Event

ROOT = "root"  # the page of a url that names none
AD_CLICK, AD_IMPRESSION = "AdClick", "AdImpression"

AD_KINDS = {AD_IMPRESSION: "impressions", AD_CLICK: "clicks"}


def website(url: str) -> str:
    """Return what stands before the first slash, without a scheme: google.com of google.com/kill.

    Empty for a path alone, as in /products.
    """
    return _without_scheme(url).partition("/")[0]


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
    return rest if found and "/" not in before else url
