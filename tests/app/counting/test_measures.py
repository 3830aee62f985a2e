"""Sums without floats, conditions, and keys above a limit, in the fold."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from operator import attrgetter

import msgspec
import numpy as np
import pytest

from app.counting.counters import Counters
from app.counting.groups import FoldState
from app.counting.measures import (
    Measure,
    NoAmountError,
    decimal_of,
    micros_of,
    micros_of_all,
    sums_by_place,
)
from app.counting.spec import DAY, TYPE, URL, Condition, CounterSpec
from app.events.batches import Verdicts
from app.events.event import Event, at_ms
from tests.support.batches import slice_of

MORNING_S = 1_790_000_000
OF_VALUE = Measure("sum", "value", attrgetter("value"))


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (None, None),
        (0, 0),
        (12, 12_000_000),
        (0.1 + 0.2, 300_000),
        (19.99, 19_990_000),
        (-0.000001, -1),
        (123456789.123456, 123_456_789_123_456),
        (9_999_999_999.25, 9_999_999_999_250_000),
        ("12.50", 12_500_000),
        ("1e3", 1_000_000_000),
        ("0.0000005", 0),  # half to even
        ("0.0000015", 2),
        (9_223_372_036_854, 9_223_372_036_854_000_000),
    ],
)
def test_a_number_is_exact_to_six_decimals(value: object, micros: int | None) -> None:
    assert micros_of(value) == micros


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("many", "not_a_number"),
        ("", "not_a_number"),
        ("1_000", "not_a_number"),
        ("Infinity", "not_a_number"),
        (True, "not_a_number"),
        ([1], "not_a_number"),
        (1e300, "sum_overflow"),
        ("1e999", "sum_overflow"),
        (9_223_372_036_855, "sum_overflow"),
        ("-9223372036854.775808", "sum_overflow"),
    ],
)
def test_what_cannot_be_added_says_why(value: object, code: str) -> None:
    with pytest.raises(NoAmountError, match=code):
        micros_of(value)


@pytest.mark.parametrize("micros", [0, 1, -1, 1_500_000, -2_000_000, 10**19 + 1])
def test_a_shown_sum_is_a_json_number_of_that_value(micros: int) -> None:
    shown = msgspec.json.Encoder(decimal_format="number").encode(decimal_of(micros)).decode()
    assert Decimal(shown) * 1_000_000 == micros
    assert len(shown.partition(".")[2]) <= 6


def _event(url: str, value: object, **more: object) -> Event:
    return Event("buy", url, at_ms(MORNING_S * 1000), value=value, **more)  # type: ignore[arg-type]


def _counter(**changes: object) -> Counters:
    given = {"window": DAY, "retention": None, "key": URL, "label": TYPE, "measure": OF_VALUE}
    return Counters([CounterSpec(61, "revenue", "", **{**given, **changes})])  # type: ignore[arg-type]


def _values(counters: Counters, events: list[Event], **more: object) -> dict[str, object]:
    rows = counters.fold(Verdicts(slice_of(events)), MORNING_S, FoldState(**more))  # type: ignore[arg-type]
    spec, found = counters["revenue"], dict[str, object]()
    for row, cells in rows.items():
        key, start, _label = spec.keys.parse(row)
        if spec.measure.kind == "sum":
            found[key] = sum(spec.signed(start, cells.items()).values())
        else:
            found[key] = sum(cells.values())
    return found


def test_added_and_taken_away_lie_in_cells_that_only_grow() -> None:
    events = [_event("/a", 0.1), _event("/a", 0.2), _event("/a", -0.05), _event("/b", -3.0)]
    counters = _counter()
    rows = counters.fold(Verdicts(slice_of(events)), MORNING_S)
    assert all(micros >= 0 for cells in rows.values() for micros in cells.values())
    assert _values(counters, events) == {"/a": 250_000, "/b": -3_000_000}


def test_a_value_that_cannot_be_added_leaves_only_its_event_out() -> None:
    left_out: Counter[tuple[str, str]] = Counter()
    events = [_event("/a", 1.5), _event("/a", 1e300), _event("/a", None), _event("/a", 2.5)]
    assert _values(_counter(), events, left_out=left_out) == {"/a": 4_000_000}
    assert left_out == {("revenue", "sum_overflow"): 1}


def test_all_conditions_must_hold_and_true_is_not_1() -> None:
    def tested(event: Event) -> object:
        return (event.properties or {}).get("test")

    where = (
        Condition("properties.test", tested, frozenset({(False, 1), (True, False)})),
        Condition("type", attrgetter("type"), frozenset({(False, "buy")})),
    )
    events = [
        _event("/false", 1.0, properties={"test": False}),
        _event("/true", 1.0, properties={"test": True}),
        _event("/1", 1.0, properties={"test": 1}),
        _event("/0", 1.0, properties={"test": 0}),
        _event("/list", 1.0, properties={"test": [False]}),
        _event("/none", 1.0),
        Event("sell", "/type", at_ms(MORNING_S * 1000), value=1.0, properties={"test": False}),
    ]
    assert _values(_counter(where=where), events) == {"/false": 1_000_000, "/1": 1_000_000}


@pytest.mark.parametrize("measure", [OF_VALUE, Measure()])
def test_keys_that_are_not_kept_are_one_key(measure: Measure) -> None:
    events = [_event(f"/{n % 5}", 1.0) for n in range(50)]
    counters = _counter(measure=measure, most_keys=2)
    found = _values(counters, events, kept={61: {"/0", "/3"}})
    one = measure.shown(1) and (1_000_000 if measure.kind == "sum" else 1)
    assert found == {"/0": 10 * one, "/3": 10 * one, "__other__": 30 * one}


@pytest.mark.parametrize(
    "more",
    [[], [1e300], [10**400], [123456789.5], [-0.0000005], [None], ["12.5"], [7, -3], [True], [0]],
    ids=str,
)
def test_many_values_at_once_are_as_one_by_one(more: list[object]) -> None:
    rng = random.Random(len(more))
    values: list[object] = [
        rng.choice([1, -1]) * rng.random() * 10 ** rng.randrange(-7, 8) for _ in range(3000)
    ]
    values += [cents / 100 for cents in range(-500, 500)]

    def one_by_one(value: object) -> object:
        try:
            return micros_of(value)
        except NoAmountError as exc:
            return str(exc)

    found = [str(n) if isinstance(n, NoAmountError) else n for n in micros_of_all(values + more)]
    assert found == [one_by_one(value) for value in values + more]


@pytest.mark.parametrize("places", [1, 2, 700])
def test_sums_of_many_values_are_those_of_one_by_one(places: int) -> None:
    rng = random.Random(places)
    values: list[object] = [rng.choice([0, 7, -3, 1e8 - 1, 1e-6, -0.25]) for _ in range(5000)]
    where = [f"/{rng.randrange(places)}" for _ in values]
    more, less = Counter[str](), Counter[str]()
    for place, value in zip(where, values, strict=True):
        micros = micros_of(value)
        assert micros is not None
        (less if micros < 0 else more)[place] += abs(micros)
    found = micros_of_all(values)
    assert isinstance(found, np.ndarray)
    assert sums_by_place(iter(where), found) == (more, less)


def test_so_many_large_values_that_64_bits_have_no_room_are_added_all_the_same() -> None:
    values = [1e8 - 1] * 100_000
    events = [_event("/a", value) for value in values]
    assert _values(_counter(retention=None), events) == {"/a": 100_000 * (10**8 - 1) * 1_000_000}
