"""What a setting takes, in words: its unit, its allowed values, what is wrong with a given one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

UNITS = {"_s": "s", "_bytes": "bytes", "_mb": "MB", "_hours": "h", "_days": "days"}
SIMILAR = 0.85  # of 1; the common prefix alone makes 0.6 to 0.8
SHOWN_MAX = 60  # characters of a value that is wrong
BOUNDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
KINDS = {int: "a whole number", float: "a number", Path: "a path", str: "text"}


class PartError(ValueError):
    """Of a check of ours: its text shows what part of a value is wrong, and holds no secret."""


def unit_of(name: str) -> str:
    """Return the unit that a setting's name ends with; empty: none."""
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")


def allowed(field: FieldInfo) -> str:
    """Return what a field takes, such as `a whole number from 1 to 65535`."""
    kind: Any = field.annotation
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        values = get_args(kind)
        named = [str(value) for value in values if value != ""]
        return ", ".join(named[:-1]) + f" or {named[-1]}" + ", or empty" * ("" in values)
    if pattern := _limit(field.metadata, "pattern"):
        return f"text that matches {pattern}"
    return KINDS.get(kind, "text") + _range(field.metadata)


def fault(
    name: str, given: object, field: FieldInfo, error: Mapping[str, Any], *, secret: bool
) -> str:
    """Return one line about a value that was refused; error: one of pydantic's errors()."""
    value = "the given value (not shown)" if secret else shown(given)
    if error["type"] == "value_error":  # of a check of ours, which says what to give
        cause = error["ctx"]["error"]
        is_told = isinstance(cause, PartError)
        return f"{name}: {cause}" if is_told else f"{name}: {value} cannot be used: {cause}"
    return f"{name}: {value} is not {allowed(field)}"


def unknown(name: str, known: Iterable[str]) -> str:
    """Return one line about a name that is not a setting, with the nearest that is one.

    Only what follows the prefix counts, which all names share.
    """
    nearest = get_close_matches(name, known, n=1, cutoff=SIMILAR)
    return f"{name} is not a setting" + (f"; the nearest is {nearest[0]}" if nearest else "")


def shown(given: object) -> str:
    """Return a value that is wrong, in quotes, of a long one the beginning."""
    text = str(given)
    return repr(text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…")


def _limit(metadata: Iterable[Any], name: str) -> Any:
    found = (getattr(item, name, None) for item in metadata)
    return next((value for value in found if value is not None), None)


def _range(metadata: list[Any]) -> str:
    limits = {name: value for name in BOUNDS if (value := _limit(metadata, name)) is not None}
    if limits.keys() == {"ge", "le"}:
        return f" from {limits['ge']:,} to {limits['le']:,}"
    words = [BOUNDS[name].format(f"{value:,}") for name, value in limits.items()]
    return f" {' and '.join(words)}" if words else ""
