"""Distinct values of declared counters: which rows get which, and what unions say."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from app.counting.counters import Counters
from app.counting.declared import Meaning
from app.counting.groups import FoldState
from app.counting.spec import HOUR, OTHER_KEY, TYPES
from app.counting.uniques import Accumulator, Union, decode_sketch, estimate_of, includes
from app.events.batches import Verdicts
from app.events.event import Event
from tests.support.batches import slice_of

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
HOUR_START = int(NOW.timestamp()) // HOUR * HOUR
TYPED = [("buy", "ann"), ("sell", "bob"), ("lend", "cyd")]
BUYERS = Meaning(HOUR, key="app_name", label="category", measure="distinct:user_id")


def buy(
    user: str | None, plan: str | None = "pro", label: str | None = None, hours: int = 0
) -> Event:
    at = NOW - timedelta(hours=hours)
    return Event(type="buy", user_id=user, app_name=plan, category=label, timestamp=at)


def found(
    events: list[Event], meaning: Meaning = BUYERS, begun: int = 0, kept: tuple[str, ...] = ()
) -> dict[tuple[str, int, str], set[str | None]]:
    """Return {(key, window start, label): values}."""
    spec = meaning.spec(61, "buyers", "")
    counters = Counters([spec])
    judged, keys = Verdicts(slice_of(events)), {61: dict.fromkeys(kept)}
    assert not counters.fold(judged, NOW.timestamp())
    rows = counters.distinct_values({61: begun}, judged, NOW.timestamp(), FoldState(keys))
    return {spec.keys.parse(row): values for row, values in rows.items()}


def test_each_window_key_and_label_has_its_values() -> None:
    events = [
        buy("ann"),
        buy("ann"),
        buy("bob", label="a"),
        buy("bob", "free"),
        buy("ann", hours=1),
    ]
    assert found(events) == {
        ("pro", HOUR_START, ""): {"ann"},
        ("pro", HOUR_START, "a"): {"bob"},
        ("free", HOUR_START, ""): {"bob"},
        ("pro", HOUR_START - HOUR, ""): {"ann"},
    }


def test_who_has_no_key_or_no_value_is_left_out() -> None:
    assert found([buy("ann", None), buy(None), buy("")]) == {}


def test_what_came_before_the_beginning_is_left_out() -> None:
    first = slice_of([buy("ann")]).offsets[0]
    events = [buy("ann"), buy("bob")]
    assert found(events, begun=first + 1) == {("pro", HOUR_START, ""): {"bob"}}
    assert found(events, begun=first + 2) == {}


def test_what_is_too_old_is_left_out() -> None:
    meaning = Meaning(HOUR, measure="distinct:user_id", keep=2 * HOUR)
    events = [buy("ann", hours=3), buy("bob", hours=1)]
    assert found(events, meaning) == {("", HOUR_START - HOUR, ""): {"bob"}}


def test_keys_that_are_not_kept_are_one() -> None:
    meaning = Meaning(None, key="app_name", measure="distinct:user_id", most_keys=1)
    events = [buy("ann"), buy("bob", "free"), buy("cyd", "old"), buy("dan", OTHER_KEY)]
    assert found(events, meaning, kept=("pro",)) == {
        ("pro", 0, ""): {"ann"},
        (OTHER_KEY, 0, ""): {"bob", "cyd", "dan"},
    }
    assert found(events, meaning, kept=("pro", OTHER_KEY)) == {
        ("pro", 0, ""): {"ann"},
        (OTHER_KEY, 0, ""): {"bob", "cyd", "dan"},
    }


def test_types_that_are_not_kept_are_one_label() -> None:
    spec = Meaning(None, label="type", measure="distinct:user_id").spec(61, "buyers", "")
    events = [Event(type=kind, user_id=user, timestamp=NOW) for kind, user in TYPED]
    counters, kept = Counters([spec]), {TYPES: {"buy": None}}
    rows = counters.distinct_values(
        {}, Verdicts(slice_of(events)), NOW.timestamp(), FoldState(kept)
    )
    labels = {spec.keys.parse(row)[2]: values for row, values in rows.items()}
    assert labels == {"buy": {"ann"}, OTHER_KEY: {"bob", "cyd"}}


def sketch_of(values: list[str]) -> bytes:
    accumulator = Accumulator()
    accumulator.note_values({b"row": set(values)})
    (sketch,) = accumulator.take().values()
    return sketch


def test_a_union_is_the_same_bytes_in_any_order_and_number() -> None:
    """Else a replay would show another figure, and audit could not compare sketches."""
    values, made = [f"user {number}" for number in range(30_000)], set()
    for seed in range(5):
        rng, union, at = random.Random(seed), Union(), 0
        rng.shuffle(values)
        while at < len(values):
            size = rng.choice([3, 700, 9000])
            for _ in range(rng.randrange(1, 3)):  # it comes again
                union.add(decode_sketch(sketch_of(values[at : at + size])))
            at += size
            if rng.random() < 0.3:  # written and read
                union = Union(decode_sketch(union.sketch().serialize()))
        made.add(union.sketch().serialize())
    assert len(made) == 1


def test_sketches_include_what_they_have_seen_and_nothing_else() -> None:
    few, many = (
        Union(decode_sketch(sketch_of([f"user {number}" for number in range(size)])))
        for size in (9_000, 20_000)
    )
    assert includes(many.sketch(), few.sketch())
    assert not includes(few.sketch(), many.sketch())
    other = Union(decode_sketch(sketch_of([f"other {number}" for number in range(9_000)])))
    assert not includes(many.sketch(), other.sketch())
    estimate = estimate_of(many.sketch())
    assert 0 < abs(estimate.users - 20_000) < 20_000 * estimate.error
