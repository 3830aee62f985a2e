"""counters.toml: what it declares, and what is said about a fault in it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from app.counting.declared import Declared, Meaning, parse_counters
from app.counting.declared_fields import text_of, value_of
from app.counting.spec import DAY, HOUR
from app.events.event import Event

DOCS = Path(__file__).parents[3] / "docs"
REVENUE = """
# a comment with [[counter]] in it
[[counter]]
name = "revenue"
where = { type = ["purchase"], "properties.test" = [false] }
key = "properties.plan"
label = "properties.currency"
measure = "sum:value"
window = "1d"
keep = "400d"
most_keys = 10000
"""


def parse_one(**changes: str) -> Declared:
    fields = {"name": '"c"', "window": '"1h"', **changes}
    lines = [f"{name} = {value}" for name, value in fields.items()]
    (found,) = parse_counters("\n".join(["[[counter]]", *lines]), {"events_by_url"})
    return found


def test_a_counter_says_what_it_counts() -> None:
    (found,) = parse_counters(REVENUE)
    where: dict[str, list[str | bool | int | float]]
    where = {"properties.test": [False], "type": ["purchase"]}
    plan, currency = "properties.plan", "properties.currency"
    kept = Meaning(DAY, plan, currency, "sum:value", 400 * DAY, 10_000, where)
    assert (found.name, found.meaning) == ("revenue", kept)
    assert found.at("measure") == "line 8: counter 'revenue': measure"


def test_what_is_left_out_is_one_row_of_all_events_for_good() -> None:
    assert parse_one().meaning == Meaning(HOUR)


def test_the_order_of_conditions_and_values_means_nothing() -> None:
    one = parse_one(where='{ type = ["a", "b"], url = ["/"] }')
    other = parse_one(where='{ url = ["/"], type = ["b", "a"] }')
    assert one.meaning.differences(other.meaning) == []


def test_true_is_another_condition_than_1() -> None:
    one = parse_one(where='{ "properties.a" = [true] }')
    other = parse_one(where="{ properties.a = [1] }")
    assert one.meaning.differences(other.meaning) == ["where"]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("colour", "1", "line 4: counter 'c': colour: unknown field"),
        ("window", '"2h"', "line 3: counter 'c': window: Input should be '1s'"),
        ("name", '"events_by_url"', "line 2: counter 'events_by_url': name: a built-in counter"),
        ("name", '"a b"', "line 2: counter 'a b': name"),
        ("key", '"plan"', "line 4: counter 'c': key: no 'plan'"),
        ("label", '"properties."', "line 4: counter 'c': label: no 'properties.'"),
        ("measure", '"sum"', "line 4: counter 'c': measure: give"),
        ("measure", '"sum:plan"', "line 4: counter 'c': measure: no field 'plan'"),
        ("measure", '"distinct"', "line 4: counter 'c': measure: give"),
        ("measure", '"distinct:plan"', "line 4: counter 'c': measure: no field 'plan'"),
        ("measure", '"mean:value"', "line 4: counter 'c': measure: give"),
        ("keep", '"a while"', "line 4: counter 'c': keep: write it as"),
        ("keep", '"10m"', "line 4: counter 'c': keep: 10m is not between a window"),
        ("most_keys", "5", "line 4: counter 'c': most_keys: a counter without key"),
        ("most_keys", "0", "line 4: counter 'c': most_keys: Input should be greater"),
        ("most_keys", "true", "line 4: counter 'c': most_keys: Input should be a valid integer"),
        ("where", '{ plan = ["a"] }', "line 4: counter 'c': where: plan: no such field"),
        ("where", '{ type = "a" }', "line 4: counter 'c': where: type: give a list"),
        ("where", "{ type = [] }", "line 4: counter 'c': where: type: give a list"),
        ("where", "{ user_id = [1] }", "line 4: counter 'c': where: user_id: is text"),
        ("where", '{ value = ["1"] }', "line 4: counter 'c': where: value: is a number"),
        ("where", '{ "properties.a" = [[1]] }', "line 4: counter 'c': where: properties.a: values"),
    ],
)
def test_a_fault_is_named_with_line_counter_and_field(field: str, value: str, problem: str) -> None:
    with pytest.raises(ValueError, match="line") as caught:
        parse_one(**{field: value})
    assert str(caught.value).startswith(problem)


def test_every_fault_of_a_file_is_named() -> None:
    text = f'{REVENUE}\n[[counter]]\nname = "revenue"\nwindow = "1h"\nkeep = "1"\n'
    with pytest.raises(ValueError, match="another counter of this file") as caught:
        parse_counters(text)
    assert "line 14: " in str(caught.value)
    assert "line 16: " in str(caught.value)


@pytest.mark.parametrize("text", ["[counter]\n", "[[counters]]\n", "counter = 1", "x ="])
def test_what_is_no_list_of_counters_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_counters(text)


@pytest.mark.parametrize("text", ["", "# none yet\n", "counter = []\n"])
def test_a_file_may_have_no_counter_yet(text: str) -> None:
    assert parse_counters(text) == ()


def test_the_file_of_the_docs_is_one() -> None:
    text = (DOCS / "start/counters.web.toml").read_text("utf-8")
    assert len(parse_counters(text)) == len(tomllib.loads(text)["counter"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (True, "true"),
        (12, "12"),
        (12.0, "12"),
        (12.5, "12.5"),
        ([], None),
        (None, None),
    ],
)
def test_values_are_counted_under_their_text(value: object, text: str | None) -> None:
    assert text_of(value) == text


def test_a_property_with_a_dot_in_its_name_comes_before_one_of_an_object() -> None:
    inner = Event("t", properties={"a": {"b": 1}})
    both = Event("t", properties={"a": {"b": 1}, "a.b": 2})
    get = value_of("properties.a.b")
    assert (get(inner), get(both), get(Event("t"))) == (1, 2, None)
