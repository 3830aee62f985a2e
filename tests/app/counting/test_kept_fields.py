"""What stays of an event, because declared counters count by it."""

from __future__ import annotations

from app.counting.declared import Meaning
from app.counting.kept_fields import kept_fields


def test_keys_labels_measures_and_conditions_are_kept() -> None:
    found = kept_fields(
        [
            Meaning(window=None, key="properties.plan", label="type", measure="sum:properties.a.b"),
            Meaning(window=None, measure="distinct:ip", where={"category": ["x"]}),
        ]
    )
    assert found.fields == ["category", "ip", "type"]
    assert found.properties == ["a.b", "plan"]


def test_what_a_browser_follows_from_is_kept() -> None:
    assert kept_fields([Meaning(window=None, key="browser")]).fields == [
        "browser",
        "referrer",
        "user_agent",
    ]
    assert kept_fields([]) == ([], [])
