"""Rules that make one page one url."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingsError
from app.events.event import Event
from app.events.url_rules import UrlRules, load

ALL: dict[str, Any] = {
    "query": "drop",
    "keep": ("id", "q r"),
    "fragment": "drop",
    "host": "lower",
    "slash": "drop",
}


@pytest.mark.parametrize(
    ("rules", "url", "expected"),
    [
        ({}, "HTTPS://H.Example/a/?x=1#y", "HTTPS://H.Example/a/?x=1#y"),
        (ALL, "HTTPS://H.Example/A/?x=1&id=5&id=6#y", "https://h.example/A?id=5&id=6"),
        (ALL, "/a/?q%20r=1&q+r=2&q=3", "/a?q%20r=1&q+r=2"),
        (ALL, "/", "/"),
        (ALL, "https://h.example/", "https://h.example"),
        (ALL, "H.Example/a", "H.Example/a"),
        (ALL, "https://User@H.Example", "https://User@h.example"),
        (ALL, "", ""),
        ({"query": "drop"}, "/a?x#b", "/a#b"),
        ({"fragment": "drop"}, "/a?x#b", "/a?x"),
        ({"slash": "drop"}, "/a//?x/", "/a?x/"),
        ({"host": "lower"}, "/Go?to=HTTP://X", "/Go?to=HTTP://X"),
    ],
)
def test_a_url_becomes_that_of_its_page(rules: dict[str, Any], url: str, expected: str) -> None:
    made = UrlRules(**rules)
    assert made.clean(url) == expected
    assert made.clean(expected) == expected


def test_the_url_as_sent_is_kept_where_it_changes() -> None:
    rules = UrlRules(query="drop")
    event = Event(type="A", url="/a?b", properties={"c": 1})
    rules.apply(event)
    assert (event.url, event.properties) == ("/a", {"c": 1, "url_sent": "/a?b"})
    for url in (None, "", "/a"):
        same = Event(type="A", url=url)
        rules.apply(same)
        assert (same.url, same.properties) == (url, None)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('query = "none"', "query"),
        ("keep = 5", "keep"),
        ('colour = "red"', "colour"),
        ("query", "Expected"),
        (None, "No such file"),
    ],
)
def test_a_fault_in_the_file_stops_the_start(tmp_path: Path, text: str | None, named: str) -> None:
    path = tmp_path / "urls.toml"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=named):
        load(str(path))
    assert load("") is None
