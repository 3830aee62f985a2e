"""counters.toml: counters that their operator declares. Pure: text in, declarations out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.counting.declared_fields import (
    FIELDS,
    NUMBER_FIELD,
    PROPERTY,
    condition_on,
    is_named,
    key_dimension,
    label_dimension,
    text_value_of,
    value_of,
)
from app.counting.measures import COUNT, Measure
from app.counting.spec import DAY, HOUR, MINUTE, CounterSpec

COUNTERS_MAX = 100
MOST_KEYS_MAX = 100_000  # every count worker holds them in memory
KEEP_MAX_S = 36_500 * DAY
WINDOWS: dict[str, int | None] = {"1s": 1, "1m": MINUTE, "1h": HOUR, "1d": DAY, "all": None}
ROW_WINDOWS = {1: 60, MINUTE: 60, HOUR: 24, DAY: 24}
UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
NAMES = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
HEADER = re.compile(r"^\s*\[\[\s*counter\s*\]\]", re.MULTILINE)
DIMENSIONS = "website, page, referrer_host, browser, os, device or utm_source, …"

Scalar = str | bool | int | float

_encode = msgspec.json.Encoder().encode


class Meaning(msgspec.Struct, frozen=True, order=False):
    """What a counter counts: as long as it is the same, its rows can be gone on with.

    window, keep: seconds; None: all time, for good. where: {field: its values}, both sorted.
    """

    window: int | None
    key: str = ""
    label: str = ""
    measure: str = "count"
    keep: int | None = None
    most_keys: int = 0
    where: dict[str, list[Scalar]] = {}

    def differences(self, other: Meaning) -> list[str]:
        """Return the names of the fields that differ."""
        names = self.__struct_fields__
        ours, theirs = (  # as JSON: True is not 1
            {name: _encode(getattr(one, name)) for name in names} for one in (self, other)
        )
        return [name for name in names if ours[name] != theirs[name]]

    def spec(self, number: int, name: str, description: str) -> CounterSpec:
        """Return the counter, under its number."""
        kind, _, field = self.measure.partition(":")
        measure = {
            "count": COUNT,
            "sum": Measure("sum", field, value_of(field)) if field else COUNT,
            "distinct": Measure("distinct", field, text_value_of(field)) if field else COUNT,
        }[kind]
        where = {**self.where}
        types = frozenset(map(str, where.pop("type", ())))
        return CounterSpec(
            number,
            name,
            description or self.described(),
            self.window,
            self.keep,
            key_dimension(self.key),
            label_dimension(self.label),
            types=types,
            row_windows=1 if self.is_sketch else ROW_WINDOWS.get(self.window or 0, 1),
            where=tuple(condition_on(field, list(values)) for field, values in where.items()),
            measure=measure,
            most_keys=self.most_keys,
        )

    @property
    def is_sketch(self) -> bool:
        """Whether it counts distinct values."""
        return self.measure.startswith("distinct:")

    def described(self) -> str:
        """Return words for a counter that has none of its own."""
        kind, _, field = self.measure.partition(":")
        what = {"count": "Events", "sum": f"Sum of {field}", "distinct": f"Different {field}"}[kind]
        by = " and ".join(name for name in (self.key, self.label) if name)
        often = {1: "second", MINUTE: "minute", HOUR: "UTC hour", DAY: "UTC day"}
        when = f" per {often[self.window]}" if self.window else ", of all time"
        return what + (f" by {by}" if by else "") + when


class Declared(msgspec.Struct, frozen=True):
    """A counter of a file; line: of its [[counter]]. lines: of its fields."""

    name: str
    meaning: Meaning
    description: str = ""
    line: int = 0
    lines: dict[str, int] = {}

    def at(self, field: str) -> str:
        """Return where a field stands, for a message."""
        return f"line {self.lines.get(field, self.line)}: counter {self.name!r}: {field}"


class _CounterEntry(BaseModel):
    """A [[counter]] as it is written."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    name: str = Field(pattern=NAMES)
    window: Literal["1s", "1m", "1h", "1d", "all"]
    where: dict[str, Any] = {}
    key: str = ""
    label: str = ""
    measure: str = "count"
    keep: str | None = None
    most_keys: int | None = Field(None, ge=1, le=MOST_KEYS_MAX)
    description: str = Field("", max_length=200)


def parse_counters(text: str, taken: Collection[str] = ()) -> tuple[Declared, ...]:
    """Return the counters of a file; taken: names that ours have.

    Raises ValueError that names line, counter and field of each fault.
    """
    try:
        found = tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if unknown := sorted(found.keys() - {"counter"}):
        raise ValueError(f"unknown table {unknown[0]!r}; only [[counter]] is allowed")
    entries = found.get("counter", [])
    if not isinstance(entries, list):
        raise ValueError("write each counter as [[counter]], with two brackets")  # noqa: TRY004
    if len(entries) > COUNTERS_MAX:
        raise ValueError(f"{len(entries)} counters; at most {COUNTERS_MAX}")
    places = list(_places(text))
    declared: list[Declared] = []
    faults: list[str] = []
    for number, entry in enumerate(entries):
        line, lines = places[number] if number < len(places) else (0, {})
        name = entry.get("name") if isinstance(entry, dict) else None
        shown = repr(name[:64]) if isinstance(name, str) else number + 1
        for field, problem in _faults(entry, {one.name for one in declared}, taken):
            faults.append(f"line {lines.get(field, line)}: counter {shown}: {field}: {problem}")
        if not faults:
            given = _CounterEntry.model_validate(entry)
            declared.append(Declared(given.name, _meaning(given), given.description, line, lines))
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(declared)


def _places(text: str) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield the line of each [[counter]], and those of its fields; tomllib does not tell them."""
    headers = [match.start() for match in HEADER.finditer(text)]
    for begin, end in pairwise([*headers, len(text)]):
        first = text.count("\n", 0, begin) + 1 + text[begin:end].startswith("\n")
        lines: dict[str, int] = {}
        for at, line in enumerate(text[begin:end].lstrip("\n").splitlines()):
            if match := re.match(r"\s*[\"']?(\w+)[\"']?\s*[=.]", line):
                lines.setdefault(match[1], first + at)
        yield first, lines


def _faults(
    entry: Any, names: Collection[str], taken: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield (field, what is wrong with it)."""
    try:
        given = _CounterEntry.model_validate(entry)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            problem = "unknown field" if error["type"] == "extra_forbidden" else error["msg"]
            yield str((*error["loc"], "counter")[0]), problem
        return
    if given.name in taken or given.name in names:
        who = "a built-in counter" if given.name in taken else "another counter of this file"
        yield "name", f"{who} has it"
    yield from _named_faults(given)
    if given.most_keys is not None and not given.key:
        yield "most_keys", "a counter without key has one row; leave it out"
    yield from _keep_faults(given)
    for name, values in _flat(given.where).items():
        if problem := _condition_fault(name, values):
            yield "where", f"{name}: {problem}"


def _named_faults(given: _CounterEntry) -> Iterator[tuple[str, str]]:
    for field, name in (("key", given.key), ("label", given.label)):
        if name and not is_named(name):
            yield field, f"no {name!r}; give {', '.join(FIELDS)}, properties.NAME, {DIMENSIONS}"
    kind, colon, name = given.measure.partition(":")
    if not (given.measure == "count" or (kind in ("sum", "distinct") and colon)):
        yield "measure", 'give "count", "sum:FIELD" or "distinct:FIELD"'
    elif colon and not is_named(name):
        yield "measure", f"no field {name!r}"


def _keep_faults(given: _CounterEntry) -> Iterator[tuple[str, str]]:
    if given.keep is None:
        return
    kept, window = _seconds(given.keep), WINDOWS[given.window]
    if kept is None:
        yield "keep", 'write it as "400d", "48h", "90m" or "60s"'
    elif window is None:
        yield "keep", 'a counter of window "all" is kept for good; leave it out'
    elif not window <= kept <= KEEP_MAX_S:
        yield "keep", f"{given.keep} is not between a window and {KEEP_MAX_S // DAY}d"


def _condition_fault(name: str, values: object) -> str:
    if not is_named(name):
        return f"no such field; give {', '.join(FIELDS)}, properties.NAME, {DIMENSIONS}"
    if not isinstance(values, list) or not values:
        return 'give a list of values, such as ["purchase"]'
    if not all(isinstance(value, (str, bool, int, float)) for value in values):
        return "values are texts, numbers, true or false"
    if name.startswith(PROPERTY):
        return ""
    kinds = {type(value) for value in values}
    if name == NUMBER_FIELD:
        return "" if kinds <= {int, float} else "is a number"
    return "" if kinds == {str} else "is text: write values in quotes"


def _meaning(given: _CounterEntry) -> Meaning:
    where = {
        name: sorted({(type(v) is bool, v) for v in values}, key=repr)
        for name, values in _flat(given.where).items()
    }
    return Meaning(
        WINDOWS[given.window],
        given.key,
        given.label,
        given.measure,
        _seconds(given.keep) if given.keep else None,
        given.most_keys or 0,
        {name: [value for _, value in values] for name, values in sorted(where.items())},
    )


def _flat(where: dict[str, Any]) -> dict[str, Any]:
    """Return conditions by the full name of their property, however it is quoted."""
    flat: dict[str, Any] = {}
    for name, values in where.items():
        if isinstance(values, dict):
            flat |= {f"{name}.{rest}": inner for rest, inner in _flat(values).items()}
        else:
            flat[name] = values
    return flat


def _seconds(text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    return int(match[1]) * UNITS[match[2]] if match else None
