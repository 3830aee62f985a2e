"""JSON and CSV of any length, written some lines at a time. Pure."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Mapping
from io import StringIO
from itertools import islice
from typing import Any, TypeVar

from tables.turns import InSteps, in_order
from web.query.messages import encode

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # begin what a spreadsheet computes, or hide that
PIECE = 500  # cells or lines in a step, less than a millisecond

T = TypeVar("T")


def members(counts: Mapping[str, T], shown: Callable[[T], object]) -> InSteps[bytes]:
    """Return what stands between the braces of a JSON object, by label; shown: of a count."""
    if len(counts) <= PIECE:  # nearly always: then a step costs as much as the rest
        return encode({label: shown(counts[label]) for label in sorted(counts)})[1:-1]
    labels = yield from in_order(counts)
    cells = ((label, shown(counts[label])) for label in labels)
    return (yield from _joined(cells, lambda some: encode(dict(some))))


def elements(
    values: Collection[T],
    shown: Callable[[T], object],
    key: Callable[[T], Any] | None = None,
) -> InSteps[bytes]:
    """Return what stands between the brackets of a JSON list; key: as that of sorted()."""
    if len(values) <= PIECE:
        return encode([shown(value) for value in sorted(values, key=key)])[1:-1]  # type: ignore[type-var,arg-type]
    ordered = yield from in_order(values, key)
    return (yield from _joined(ordered, lambda some: encode(list(map(shown, some)))))


def _joined(values: Iterable[T], encoded: Callable[[list[T]], bytes]) -> InSteps[bytes]:
    left, pieces = iter(values), list[bytes]()
    while some := list(islice(left, PIECE)):
        pieces.append(encoded(some)[1:-1])
        yield
    return b",".join(pieces)


def add(total: dict[str, int], counts: Mapping[str, int]) -> InSteps[None]:
    """Add counts by label to a total."""
    for number, (label, count) in enumerate(counts.items(), 1):
        total[label] = total.get(label, 0) + count
        if number % PIECE == 0:
            yield


def harmless(field: object) -> object:
    """Return a field of CSV that no spreadsheet takes for a formula: strangers choose keys."""
    return f"'{field}" if isinstance(field, str) and field.startswith(FORMULA) else field


class CsvLines:
    """CSV of RFC 4180, below a heading; see harmless()."""

    def __init__(self, head: tuple[str, ...]) -> None:
        self._text = StringIO()
        self._writer = csv.writer(self._text)
        self._writer.writerow(head)

    def write(self, lines: Iterable[Iterable[object]]) -> InSteps[None]:
        """Add lines."""
        left = iter(lines)
        while some := list(islice(left, PIECE)):
            self._writer.writerows(map(harmless, line) for line in some)
            yield

    def body(self) -> bytes:
        """Return all lines."""
        return self._text.getvalue().encode()
