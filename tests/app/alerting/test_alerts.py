"""Which windows are due, and what a rules file may say."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET, UnsetType

from app.alerting.alert_rules import DEFAULT_RULES, RULES_MAX, load_rules, parse_rules
from app.alerting.alerts import (
    RECENT_S,
    Due,
    Rule,
    due_windows,
    encode_alert,
    oldest_start,
    place_before,
    silent_until,
)
from app.counting.counters import Counters
from app.counting.declared import Meaning
from app.counting.measures import COUNT, Measure
from app.errors import SettingsError
from app.settings import Settings
from tables.counters import declare

NOW = 1_790_000_000.0
HOUR = 3600
START = int(NOW) - int(NOW) % HOUR
RULE = Rule("r", "c", "", 3, HOUR)
SUM, DISTINCT = Measure("sum"), Measure("distinct")
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


@pytest.mark.parametrize(
    ("measure", "threshold", "count", "error", "said"),
    [
        (COUNT, 3, 5, UNSET, '"threshold":3,"count":5,%s'),
        (SUM, 19_990_000, 20_000_001, UNSET, '"threshold":19.99,"count":20.000001,%s'),
        (SUM, 1, 7_000_000, UNSET, '"threshold":0.000001,"count":7,%s'),
        (DISTINCT, 3, 5, 0.0, '"threshold":3,"count":5,%s,"error":0.0'),
        (DISTINCT, 3, 5000, 0.0317, '"threshold":3,"count":5000,%s,"error":0.0317'),
    ],
)
def test_an_alert_says_what_when_and_why(
    measure: Measure, threshold: int, count: int, error: float | UnsetType, said: str
) -> None:
    rule = Rule("busy", "c_hourly", "CLICK", threshold, HOUR, measure=measure)
    due = Due(rule, "/ä", 1_710_504_000, count, error)
    raised_at = '"raised_at":"2024-03-15T12:16:40.250Z"'
    assert encode_alert(due.alert(1_710_505_000.25)).decode() == (
        '{"rule":"busy","counter":"c_hourly","label":"CLICK","key":"/ä",'
        f'"window_start":"2024-03-15T12:00:00Z","window_s":3600,{said % raised_at}}}'
    )
    assert due.place == "2024-03-15T12:00:00Z/busy//ä".encode()


def test_places_sort_by_time_and_what_may_expire_is_never_due_again() -> None:
    oldest = place_before(oldest_start(NOW, HOUR))
    for start in range(int(NOW) - RECENT_S - 3 * HOUR, int(NOW), 100):
        due = list(due_windows([RULE], "", {start: 3}, NOW))
        assert all(found.place >= oldest for found in due)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("falls", [False, True])
def test_a_row_that_is_silent_has_nothing_due(seed: int, *, falls: bool) -> None:
    """Looking only at rows whose cells are large enough must find what looking at all would.

    falls: as a sum does, whose cells are of what is added and of what is taken away.
    """
    dice = random.Random(seed)
    rules = [
        Rule("a", "c", "", 5, HOUR),
        Rule("b", "c", "", 9, HOUR),
        Rule("k", "c", "", 1, 1, "x"),
    ]
    windows = dict.fromkeys((START - n * HOUR for n in range(4 - falls)), 0)
    raised: set[bytes] = set()
    silent, total, looks = min(rule.threshold for rule in rules), 0, 0
    for step in range(300):
        more, start = dice.randrange(3), START - dice.randrange(4 if step > 50 else 3) * HOUR
        total += more
        windows[start] = windows.get(start, 0) + more * (-1 if falls and dice.random() < 0.4 else 1)
        every = {due.place for due in due_windows(rules, "/a", windows, NOW)}
        if total >= silent:
            looks += 1
            raised |= every
            silent = silent_until(rules, "/a", windows, total)
        assert every <= raised
    assert raised
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


OWN = [
    Meaning(HOUR, "url", "category", "sum:value").spec(61, "revenue", ""),
    Meaning(HOUR, "url", "", "distinct:user_id").spec(62, "buyers", ""),
    Meaning(None, "url", "", "sum:value").spec(63, "ever", ""),
    Meaning(HOUR, "url", "type", where={"type": ["order"]}).spec(64, "orders", ""),
]


@pytest.mark.parametrize(
    ("counter", "threshold", "kept"),
    [
        ("revenue", "19.99", 19_990_000),
        ("revenue", "0.000001", 1),
        ("revenue", "1e3", 1_000_000_000),
        ("revenue", "7", 7_000_000),
        ("revenue", "9223372036853.999999", 9_223_372_036_853_999_999),
        ("buyers", "7", 7),
        ("revenue", "0", "threshold: Input should be greater than 0"),
        ("revenue", "-5", "threshold: Input should be greater than 0"),
        ("revenue", "nan", "threshold: Input should be a finite number"),
        ("revenue", "inf", "threshold: Input should be a finite number"),
        ("revenue", "0.0000001", "threshold: Decimal input should have no more than 6 decimal"),
        ("revenue", "1e13", "threshold: Input should be less than 9223372036854"),
        ("revenue", "'19.99'", "threshold: Value error, write a number without quotes"),
        ("revenue", "true", "threshold: Value error, write a number without quotes"),
        ("buyers", "0", "threshold: Input should be greater than or equal to 1"),
        ("buyers", "1.5", "threshold: Input should be a valid integer"),
        ("buyers", "nan", "threshold: Input should be a valid integer"),
        ("ever", "1.5", "counter: ever has no windows"),
        ("clicks_by_website_hourly", "nan", "threshold: Input should be a valid integer"),
    ],
)
def test_the_threshold_of_a_sum_is_exact_and_what_cannot_be_reached_is_refused(
    counter: str, threshold: str, kept: int | str
) -> None:
    label = "label = 'eur'" if counter == "revenue" else ""
    text = f"[[rule]]\nname = 'r'\ncounter = '{counter}'\nthreshold = {threshold}\n{label}"
    counters = declare(Settings(), OWN)
    if isinstance(kept, str):
        with pytest.raises(ValueError, match=re.escape(f"rule 1 ('r'): {kept}")):
            parse_rules(text, counters)
        return
    (rule,) = parse_rules(text, counters)
    assert (rule.threshold, rule.measure) == (kept, counters[counter].measure)


@pytest.mark.parametrize(
    ("counter", "label", "fault"),
    [
        ("orders", "order", ""),
        ("orders", "__other__", ""),
        ("orders", "refund", "label: orders counts order"),
        ("ad_events_by_ad_daily", "clicks", ""),
        ("ad_events_by_ad_daily", "click", "label: ad_events_by_ad_daily counts clicks, impr"),
        ("revenue", "whatever it is", ""),
        ("buyers", "eur", "label: buyers has none"),
        ("orders", "", "label: orders counts by type; say which one"),
    ],
)
def test_a_label_that_a_counter_cannot_have_is_refused(
    counter: str, label: str, fault: str
) -> None:
    text = f"[[rule]]\nname = 'r'\ncounter = '{counter}'\nthreshold = 3\nlabel = '{label}'"
    counters = declare(Settings(), OWN)
    if fault:
        with pytest.raises(ValueError, match=re.escape(f"rule 1 ('r'): {fault}")):
            parse_rules(text, counters)
    else:
        assert parse_rules(text, counters)[0].label == label


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
