"""Websites and pages of urls, and what an event did to an ad."""

from __future__ import annotations

import pytest

from app.events.derived import ad_kind, page_name, website
from app.events.event import Event


@pytest.mark.parametrize(
    ("url", "site", "page"),
    [
        ("google.com/kill", "google.com", "kill"),
        ("google.com", "google.com", "root"),
        ("google.com/", "google.com", "root"),
        ("https://www.example.net", "www.example.net", "root"),
        ("https://www.example.net/", "www.example.net", "root"),
        ("https://www.example.net/a/b?q=ü", "www.example.net", "b?q=ü"),
        ("/products/electronics", "", "electronics"),
        ("/go?to=https://a.net/b", "", "b"),
        ("", "", "root"),
        ("/", "", "root"),
        ("://", "", "root"),
        ("http://user:secret@h.example/a", "h.example", "a"),
        ("user:secret@h.example/a", "h.example", "a"),
        ("http://a@b@h.example", "h.example", "root"),
        ("h.example?x=http://y/z", "h.example", "z"),
        ("https://h.example?x", "h.example", "root"),
        ("h.example#x?y/z", "h.example", "z"),
        ("H.EXAMPLE/a", "h.example", "a"),
        ("HTTPS://H.Example:8080/A", "h.example:8080", "A"),
        ("Ünïcode.EXAMPLE/a", "Ünïcode.example", "a"),
        ("İ.example", "İ.example", "root"),
        ("/a@b", "", "a@b"),
        ("?x=1", "", "root"),
    ],
)
def test_the_website_and_the_page_of_a_url(url: str, site: str, page: str) -> None:
    assert (website(url), page_name(url)) == (site, page)


@pytest.mark.parametrize(
    ("kind", "ad", "expected"),
    [
        ("AdClick", "34", "clicks"),
        ("AdImpression", "34", "impressions"),
        ("AdClick", None, None),
        ("CLICK", "34", None),
    ],
)
def test_what_an_event_did_to_an_ad(kind: str, ad: str | None, expected: str | None) -> None:
    assert ad_kind(Event(type=kind, ad_id=ad)) == expected
