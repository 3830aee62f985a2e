"""Which windows are due, and what a rules file may say."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from app.alerting.alert_rules import DEFAULT_RULES, RULES_MAX, load_rules, parse_rules
from app.alerting.alerts import (
    RECENT_S,
    Due,
    Rule,
    due_windows,
    oldest_start,
    place_before,
    silent_until,
)
from app.counting.counters import Counters
from app.errors import SettingsError
from app.settings import Settings
from tables.counters import declare

NOW = 1_790_000_000.0
HOUR = 3600
START = int(NOW) - int(NOW) % HOUR
RULE = Rule("r", "c", "", 3, HOUR)
CASES = json.loads((Path(__file__).parents[2] / "data/alert_rules.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ({START: 2}, []),
        ({START: 3}, [START]),
        ({START: 9, START - HOUR: 3, START + HOUR: 2}, [START, START - HOUR]),
        ({START + 20 * HOUR: 3}, [START + 20 * HOUR]),  # its events lie ahead of our clock
        ({START - 24 * HOUR: 3}, [START - 24 * HOUR]),  # it ended less than a day ago
        ({START - 25 * HOUR: 3, 1_431_856_800: 99}, []),
    ],
)
def test_a_recent_window_at_its_threshold_is_due(
    windows: dict[int, int], expected: list[int]
) -> None:
    found = list(due_windows([RULE], "/a", windows, NOW))
    assert [due.start for due in found] == expected
    assert [due.count for due in found] == [windows[start] for start in expected]


def test_a_rule_with_a_key_looks_at_no_other_key() -> None:
    rules = [Rule("one", "c", "", 1, HOUR, key="/a"), Rule("each", "c", "", 2, HOUR)]
    assert [due.rule.name for due in due_windows(rules, "/a", {START: 2}, NOW)] == ["one", "each"]
    assert [due.rule.name for due in due_windows(rules, "/b", {START: 2}, NOW)] == ["each"]


def test_an_alert_says_what_when_and_why() -> None:
    due = Due(Rule("busy", "c_hourly", "CLICK", 3, HOUR), "/ä", 1_710_504_000, 5)
    alert = due.alert(1_710_505_000.25)
    assert {name: getattr(alert, name) for name in alert.__struct_fields__} == {
        "rule": "busy",
        "counter": "c_hourly",
        "label": "CLICK",
        "key": "/ä",
        "window_start": "2024-03-15T12:00:00Z",
        "window_s": 3600,
        "threshold": 3,
        "count": 5,
        "raised_at": "2024-03-15T12:16:40.250Z",
    }
    assert due.place == "2024-03-15T12:00:00Z/busy//ä".encode()


def test_places_sort_by_time_and_what_may_expire_is_never_due_again() -> None:
    oldest = place_before(oldest_start(NOW, HOUR))
    for start in range(int(NOW) - RECENT_S - 3 * HOUR, int(NOW), 100):
        due = list(due_windows([RULE], "", {start: 3}, NOW))
        assert all(found.place >= oldest for found in due)


@pytest.mark.parametrize("seed", range(20))
def test_a_row_that_is_silent_has_nothing_due(seed: int) -> None:
    """Looking only at rows whose sum is large enough must find what looking at all would."""
    dice = random.Random(seed)
    rules = [
        Rule("a", "c", "", 5, HOUR),
        Rule("b", "c", "", 9, HOUR),
        Rule("k", "c", "", 1, 1, "x"),
    ]
    windows = {START - n * HOUR: 0 for n in range(4)}
    raised: set[bytes] = set()
    silent, looks = min(rule.threshold for rule in rules), 0
    for _ in range(300):
        windows[dice.choice([*windows])] += dice.randrange(3)
        every = {due.place for due in due_windows(rules, "/a", windows, NOW)}
        if sum(windows.values()) >= silent:
            looks += 1
            raised |= every
            silent = silent_until(rules, "/a", windows)
        assert raised == every
    assert looks < 150


@pytest.fixture(scope="module")
def counters() -> Counters:
    return declare(Settings())


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_rules_file_is_read_or_its_fault_named(
    tmp_path: Path, counters: Counters, text: str, expected: Any
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text.replace("DEEP", "[" * 20_000), "utf-8")
    settings = Settings(alert_rules=str(path))
    if isinstance(expected, list):
        assert load_rules(settings, counters) == tuple(Rule(*fields) for fields in expected)
        return
    with pytest.raises(SettingsError) as found:
        load_rules(settings, counters)
    assert str(found.value).startswith(f"EVENT_COUNTER_ALERT_RULES: {path}: ")
    assert expected in str(found.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, counters: Counters) -> None:
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"\xff\xfe")
    large.write_text("#" * 1_000_001, "utf-8")
    for path in (tmp_path / "absent", tmp_path, binary, large):
        with pytest.raises(SettingsError, match=str(path)):
            load_rules(Settings(alert_rules=str(path)), counters)


def test_too_many_rules_are_refused(counters: Counters) -> None:
    rule = "[[rule]]\nname = 'r%d'\ncounter = 'clicks_by_website_hourly'\nthreshold = 1\n"
    text = "".join(rule % number for number in range(RULES_MAX + 1))
    with pytest.raises(ValueError, match="101 rules; at most 100"):
        parse_rules(text, counters)


def test_the_default_rules_are_possible(counters: Counters) -> None:
    assert load_rules(Settings(), counters) == DEFAULT_RULES
    for rule in DEFAULT_RULES:
        assert counters[rule.counter].window == rule.window
    assert load_rules(Settings(statistics=False), counters) == ()


def test_rules_without_statistics_are_refused(counters: Counters) -> None:
    settings = Settings(statistics=False, alert_rules=os.devnull)
    with pytest.raises(SettingsError, match="EVENT_COUNTER_STATISTICS"):
        load_rules(settings, counters)


@pytest.mark.parametrize("url", ["example.net/hook", "ftp://example.net", "http://", "http://["])
def test_a_webhook_needs_an_http_address(url: str) -> None:
    with pytest.raises(SettingsError, match="EVENT_COUNTER_WEBHOOK_URL"):
        Settings.from_env({"EVENT_COUNTER_WEBHOOK_URL": url})
