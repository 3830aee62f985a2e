"""What all workers agree on: the order of one log decides."""

from __future__ import annotations

import pytest

from app.counting.declared import Declared, Meaning
from app.counting.registry import (
    Begin,
    Decision,
    Declare,
    Drop,
    KeysSeen,
    Limit,
    PastCounted,
    Registry,
    encode_decision,
    left_over,
    to_declare,
    unknown_keys,
)
from app.counting.spec import FIRST_DECLARED, HOUR, LAST_DECLARED, TYPES

HOURLY, LIMITED = Meaning(HOUR), Meaning(HOUR, "url", most_keys=2)
FIRST = FIRST_DECLARED


def registry_of(*decisions: Decision) -> Registry:
    registry = Registry()
    assert all(registry.apply(encode_decision(decision)) for decision in decisions)
    return registry


def test_the_first_to_declare_a_name_is_followed() -> None:
    registry = registry_of(Declare("a", HOURLY), Declare("a", LIMITED), Declare("b", HOURLY))
    numbers = {name: known.number for name, known in registry.counting.items()}
    assert numbers == {"a": FIRST, "b": FIRST + 1}
    assert registry.counting["a"].meaning == HOURLY


def test_no_number_is_given_twice() -> None:
    again = registry_of(Declare("a", HOURLY), Drop("a"), Declare("a", LIMITED))
    assert again.counting["a"].number == FIRST + 1
    assert list(again.dropped) == [FIRST]
    names = [f"c{n}" for n in range(LAST_DECLARED)]
    full = registry_of(*(Declare(name, HOURLY) for name in names))
    assert (len(full.counting), full.numbers_left) == (LAST_DECLARED + 1 - FIRST, 0)
    with pytest.raises(ValueError, match="only 0 numbers"):
        to_declare([Declared("new", HOURLY)], full)


def test_the_first_beginning_and_the_first_keys_hold() -> None:
    registry = registry_of(
        Declare("a", LIMITED),
        Begin(FIRST, 3, 70),
        Begin(FIRST, 3, 90),
        KeysSeen(FIRST, ["/b"]),
        KeysSeen(FIRST, ["/b", "/a", "/c"]),
        KeysSeen(FIRST, ["/d"]),
    )
    assert registry.began(3, 1) == {FIRST: 70}
    assert list(registry.keys[FIRST]) == ["/b", "/a"]
    assert registry.is_full(FIRST)
    assert unknown_keys({FIRST: ["/e"]}, registry) == []


def test_the_past_is_counted_in_the_tables_of_a_version_and_all_after_them() -> None:
    registry = registry_of(
        Declare("a", HOURLY), Begin(FIRST, 3, 70), PastCounted(FIRST, 4), PastCounted(FIRST, 6)
    )
    assert [registry.began(3, version) for version in (3, 4, 5)] == [
        {FIRST: 70},
        {FIRST: 0},
        {FIRST: 0},
    ]
    assert registry.began(2, 5) == {FIRST: 0}


def test_only_keys_that_are_not_known_are_asked_for() -> None:
    registry = registry_of(Declare("a", LIMITED), KeysSeen(FIRST, ["/b"]))
    assert unknown_keys({FIRST: {"/b", "/a"}}, registry) == [KeysSeen(FIRST, ["/a"])]


def test_a_counter_that_changed_its_meaning_is_named_with_its_line() -> None:
    registry = registry_of(Declare("a", LIMITED))
    same = Declared("a", LIMITED)
    assert to_declare([same, Declared("b", HOURLY)], registry) == [Declare("b", HOURLY)]
    changed = Declared("a", Meaning(HOUR, "url", most_keys=3), line=4, lines={"most_keys": 7})
    with pytest.raises(ValueError, match=r"line 7: counter 'a': most_keys differs from 2"):
        to_declare([changed], registry)


def test_a_counter_that_is_not_in_the_file_is_still_counted() -> None:
    registry = registry_of(Declare("a", LIMITED), Declare("b", HOURLY))
    assert left_over([Declared("a", LIMITED)], registry) == ["b"]
    assert [spec.name for spec in registry.specs()] == ["a", "b"]


@pytest.mark.parametrize("record", [None, b"", b"x", b'{"op":"sing"}', b'{"op":"drop"}'])
def test_a_record_that_is_no_decision_changes_nothing(record: bytes | None) -> None:
    assert not Registry().apply(record)


def test_the_first_limit_of_types_holds_and_they_are_named_once_no_further_one_is_kept() -> None:
    limits = Limit(TYPES, 2), Limit(TYPES, 3)
    registry = registry_of(KeysSeen(TYPES, ["too soon"]), *limits, KeysSeen(TYPES, ["b"]))
    assert (registry.limit(TYPES), registry.types_kept()) == (2, None)
    registry.apply(encode_decision(KeysSeen(TYPES, ["c", "a"])))
    assert registry.types_kept() == ["b", "c"]
    assert registry_of().types_kept() is None


def test_new_keys_fit_into_the_room_and_into_records() -> None:
    registry = registry_of(Limit(TYPES, 1000))
    many = [f"{n:0255}" for n in range(2000)]
    wanted = unknown_keys({TYPES: many}, registry)
    assert [key for one in wanted for key in one.keys] == many[:1000]
    assert max(len(encode_decision(one)) for one in wanted) < 200_000
    assert len(wanted) == 3
