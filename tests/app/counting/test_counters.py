"""The fold of events into rows, and what is too old for them."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from app.counting.counters import Counters
from app.counting.groups import BatchColumns, FoldState, Group, LeftOut, chosen, tally
from app.counting.spec import (
    DAY,
    EVERYTHING,
    HOUR,
    MINUTE,
    OTHER_KEY,
    TYPE,
    TYPES,
    URL,
    CounterSpec,
    counts_partition,
)
from app.events.batches import Slice, Verdicts
from app.events.event import Event
from app.settings import Settings
from tables.counters import declare
from tests.support.batches import judged, slice_of

NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)
NOW = NOON.timestamp()
HOUR_TIME = timedelta(hours=1)


def make_spec(window: int | None = HOUR, retention: int | None = None) -> CounterSpec:
    return CounterSpec(7, "by_url", "", window, retention, URL, TYPE)


def unfold(counters: Counters, rows: dict[bytes, dict[int, int]]) -> Counter[tuple[object, ...]]:
    """Return {(counter, key, label, window start): count} of rows."""
    found: Counter[tuple[object, ...]] = Counter()
    for row, cells in counters.spread(rows, NOW).items():
        spec = counters.by_number[row[0]]
        key, start, label = spec.keys.parse(row)
        for slot, count in cells.items():
            found[spec.name, key, label, start + slot * (spec.window or 0)] += count
    return found


@pytest.mark.parametrize("days", [0, 30])
@pytest.mark.parametrize("seed", range(6))
def test_a_fold_counts_like_one_event_at_a_time(seed: int, days: int) -> None:
    dice = random.Random(seed)
    # Some too old for seconds, none, or all in one window.
    ages = ([MINUTE, HOUR], [DAY // 9, 3 * DAY], [1])[seed % 3]
    counters = declare(Settings(hourly_retention_days=days))
    events = [
        Event(
            type=dice.choice(["CLICK", "VIEW", "page_view", "AdClick", "AdImpression", "ü"]),
            url=dice.choice(["/a", "/b", "", "/ü", "a.net", "https://a.net/b", None]),
            ad_id=dice.choice(["34", None]),
            user_id=dice.choice(["u", None]),
            timestamp=NOON - timedelta(seconds=dice.randrange(dice.choice(ages))),
        )
        for _ in range(500)
    ]
    expected: Counter[tuple[object, ...]] = Counter()
    for event in events:
        for spec in counters.values():
            key, label = spec.key.get(event), spec.label.get(event)
            assert event.timestamp is not None
            time = int(event.timestamp.timestamp())
            if spec.sum_of or key is None or label is None or spec.too_old(time, NOW):
                continue
            if spec.of != "human" or (spec.types and event.type not in spec.types):
                continue
            expected[spec.name, key, label, time - time % spec.window if spec.window else 0] += 1
    assert unfold(counters, counters.fold(judged(events), NOW)) == expected


@pytest.mark.parametrize("retention", [None, 2 * DAY])
@pytest.mark.parametrize(
    ("key", "label"), [("", ""), ("/a", "CLICK"), ("/ü\0x", "a" * 255), ("k" * 2048, "ü")]
)
def test_a_row_is_parsed_into_what_it_was_made_of(
    key: str, label: str, retention: int | None
) -> None:
    spec = make_spec(retention=retention)
    row = spec.keys.row(key, 86_400, label)
    assert spec.keys.parse(row) == (key, 86_400, label)
    assert spec.keys.key_of(row) == key.encode()
    assert list(spec.keys.rows([(key, label, 86_400), (key, label, 0)])) == [
        row,
        spec.keys.row(key, 0, label),
    ]


@pytest.mark.parametrize(
    ("time", "start", "slot"),
    [(0, 0, 0), (HOUR - 1, 0, 0), (HOUR, 0, 1), (DAY - 1, 0, 23), (DAY, DAY, 0)],
)
def test_a_row_of_hours_is_a_day(time: int, start: int, slot: int) -> None:
    assert make_spec().place(time) == (start, slot)


@pytest.mark.parametrize(
    ("age", "too_old"), [(0, False), (DAY - 1, False), (DAY, False), (DAY + MINUTE, True)]
)
def test_a_window_is_too_old_once_its_end_is_past_the_retention(age: int, too_old: bool) -> None:
    assert make_spec(MINUTE, DAY).too_old(int(NOW) - age, NOW) is too_old


def test_no_row_expires_while_one_of_its_windows_is_kept() -> None:
    spec = make_spec(HOUR, 3 * DAY)
    begin, end = spec.expired_range(NOW) or (b"", b"")
    for hours in range(24 * 10):
        time = int(NOW) - hours * HOUR
        expires = begin <= spec.keys.row("/a", spec.place(time)[0], "CLICK") < end
        start = spec.place(time)[0]
        assert expires == (start + spec.row_span <= NOW - 3 * DAY)


def test_an_event_too_old_for_one_counter_is_in_the_others() -> None:
    counters = declare(Settings(statistics=False))
    old = [Event(type="VIEW", url="/a", timestamp=NOON - timedelta(days=9))]
    rows = counters.fold(judged(old), NOW)
    assert {name for name, *_ in unfold(counters, rows)} == {
        "events_by_url_hourly",
        "events_by_type",
    }


def test_each_counter_counts_what_the_rules_made_of_events() -> None:
    counters = declare(Settings())
    event = Event(type="VIEW", url="a.net/b", user_id="u", ad_id="34", timestamp=NOON)
    part = judged([event]).human
    counted = {spec.of for spec in counters.values()}
    for of in counted:
        rows = counters.fold(Verdicts(**{"human": Slice(), of: part}), NOW)
        assert {spec.of for spec in map(counters.by_number.get, (r[0] for r in rows)) if spec} == {
            of
        }
    assert counted == {"human", "bot", "counted_click", "duplicate"}


def test_a_part_of_judged_events() -> None:
    events = [Event(type=str(n), timestamp=NOON) for n in range(6)]
    whole = slice_of(events, first=10)
    sorted_out = Verdicts(
        whole.where([n % 2 == 0 for n in range(6)]), whole.where([n % 2 == 1 for n in range(6)])
    ).between(12, 15)
    assert [event.type for event in sorted_out.human.events] == ["4"]
    assert list(sorted_out.bot.offsets) == [13, 15]
    assert whole.between(15, 20) == Slice([], range(0), [], [])


@pytest.mark.parametrize("windows", [0, 257])
def test_a_row_has_no_more_windows_than_a_slot_can_number(windows: int) -> None:
    with pytest.raises(ValueError, match="windows in a row"):
        CounterSpec(7, "by_url", "", HOUR, None, URL, TYPE, row_windows=windows)


def test_the_width_of_a_row_is_part_of_the_layout() -> None:
    narrow, wide = (
        Counters([CounterSpec(7, "by_url", "", HOUR, None, URL, TYPE, row_windows=n)]).layout()
        for n in (24, 48)
    )
    assert narrow != wide


def test_a_number_serves_one_counter() -> None:
    with pytest.raises(ValueError, match="share a number"):
        Counters([make_spec(), CounterSpec(7, "other", "", None, None, EVERYTHING, TYPE)])


def test_a_key_has_one_owner() -> None:
    assert [counts_partition(key, 4) for key in (b"", b"/a", b"/b")] == [0, 0, 2]


@pytest.mark.parametrize("days", [0, 30])
def test_types_that_are_not_kept_are_one_type_in_every_counter(days: int) -> None:
    counters = declare(Settings(hourly_retention_days=days))
    types = ["CLICK", "VIEW", "a", "b", "c"]
    events = [
        Event(type=types[n % 5], url=f"/{n % 2}", timestamp=NOON - timedelta(seconds=n))
        for n in range(100)
    ]
    left = LeftOut()
    kept = {TYPES: {"CLICK", "a"}}
    found = unfold(counters, counters.fold(judged(events), NOW, FoldState(kept, left)))
    all_of_them = unfold(counters, counters.fold(judged(events), NOW))
    by_type = {name for name, spec in counters.items() if spec.label is TYPE and not spec.sum_of}
    assert by_type >= {"events_by_url_hourly", "events_by_type", "events_by_type_minutely"}
    expected = Counter[tuple[object, ...]]()
    for (name, key, label, at), count in all_of_them.items():
        other = name in by_type and label not in kept[TYPES]
        expected[name, key, OTHER_KEY if other else label, at] += count
    assert found == expected
    assert left == {("events_by_type", OTHER_KEY): 3}


def test_hours_with_a_retention_carry_nothing() -> None:
    assert declare(Settings(hourly_retention_days=30)).carried is None
    assert declare(Settings(statistics=False)).carried is None


@pytest.mark.parametrize("windows", [0, 1, 3])
@pytest.mark.parametrize(("keyed", "labelled"), [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_a_tally_is_the_same_however_few_windows_there_are(
    windows: int, keyed: int, labelled: int
) -> None:
    dice = random.Random(windows)
    events = [
        Event(
            type=dice.choice("ab"),
            url=dice.choice(["x", None]),
            timestamp=NOON + HOUR_TIME * dice.randrange(windows),
        )
        for _ in range(100 if windows else 0)
    ]
    key, label = URL if keyed else EVERYTHING, TYPE if labelled else EVERYTHING
    spec = CounterSpec(7, "hourly", "", HOUR, None, key, label)
    columns = BatchColumns(slice_of(events), {})
    hours = [int(event.timestamp.timestamp()) // HOUR for event in events if event.timestamp]
    assert tally(chosen(Group(spec), columns)) == Counter(
        (event.url if keyed else "", event.type if labelled else "", hour)
        for event, hour in zip(events, hours, strict=True)
    )
