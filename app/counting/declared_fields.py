"""What a counter of a counters.toml may name: fields of events, properties, dimensions. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter

from app.counting.spec import EVERYTHING, PAGE, TYPE, URL, WEBSITE, Condition, Dimension
from app.counting.visitor_dimensions import VISITOR_DIMENSIONS
from app.events.event import Event

PROPERTY = "properties."
NUMBER_FIELD = "value"
TEXT_FIELDS = (
    "type",
    "url",
    "user_id",
    "session_id",
    "ip",
    "uuid",
    "ad_id",
    "app_name",
    "product_id",
    "category",
    "message_id",
    "referrer",
    "user_agent",
)
FIELDS = (*TEXT_FIELDS, NUMBER_FIELD)
DERIVED = {"website": WEBSITE, "page": PAGE, **VISITOR_DIMENSIONS}
EXACT_FLOAT = 1 << 53

Get = Callable[[Event], object]


def is_named(name: str) -> bool:
    """Whether events have such a field, property or dimension."""
    return name in FIELDS or name in DERIVED or len(name) > len(PROPERTY) == name.find(".") + 1


@lru_cache
def value_of(name: str) -> Get:
    """Return event -> its value of a field, property or dimension as it is; None: it has none."""
    if name in FIELDS:
        return attrgetter(name)
    if name in DERIVED:
        return DERIVED[name].get
    return _property(name.removeprefix(PROPERTY))


@lru_cache
def key_dimension(name: str) -> Dimension:
    """Return what events are counted by; those without a value are left out. Empty: one row."""
    known = {"": EVERYTHING, "url": URL, "type": TYPE, **DERIVED}
    if name in known:
        return known[name]
    get = value_of(name)
    return Dimension(name, get if name in TEXT_FIELDS else lambda event: text_of(get(event)))  # type: ignore[arg-type]


@lru_cache
def label_dimension(name: str) -> Dimension:
    """Return the same as a label: events without a value are counted under an empty one."""
    dimension = key_dimension(name)
    if dimension in (EVERYTHING, TYPE):
        return dimension
    return Dimension(name, lambda event: dimension.get(event) or "")


@lru_cache
def text_value_of(name: str) -> Callable[[Event], str | None]:
    """Return event -> the same as text."""
    return key_dimension(name).get


def condition_on(name: str, values: list[object]) -> Condition:
    """Return that an event has one of these values."""
    return Condition(name, value_of(name), frozenset((isinstance(v, bool), v) for v in values))


def text_of(value: object) -> str | None:
    """Return a value as the text that it is counted under; None: lists and objects have none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_FLOAT:
        return str(int(value))
    return str(value) if isinstance(value, (int, float)) else None


def _property(path: str) -> Get:
    """Return event -> a property: of this very name, else of the object before each dot."""
    parts = path.split(".")

    def get(event: Event) -> object:
        found: object = event.properties
        if not found or len(parts) == 1 or path in event.properties:  # type: ignore[operator]
            return found.get(path) if found else None  # type: ignore[attr-defined]
        for part in parts:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    return get
