"""Records of a changelog that its table has not written: see app.kafka.strange."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from app.counting.spec import LAST_DECLARED, CounterSpec
from app.kafka.strange import UNREADABLE

Strange = list[tuple[Any, BaseException]]  # records, and what is wrong with each


def part_strange(
    records: Iterable[Any], check: Callable[[bytes, bytes], object], reserved: Container[bytes]
) -> tuple[list[Any], Strange]:
    """Return the records of a changelog that its table has written, and all others.

    check: raises one of UNREADABLE or TypeError at a key and a value that are none of the table.
    reserved: keys that are never sent. A tombstone says nothing that could be wrong.
    """
    ours: list[Any] = []
    strange: Strange = []
    for record in records:
        key, value = record.key, record.value
        try:
            if key is None or key in reserved:
                raise ValueError("a key that no row has")
            if value is not None:
                check(key, value)
        except (*UNREADABLE, TypeError) as exc:
            strange.append((record, exc))
        else:
            ours.append(record)
    return ours, strange


def check_key(key: bytes, specs: Mapping[int, CounterSpec], others: Container[bytes]) -> None:
    """Raise one of UNREADABLE where a key is of no counter's row.

    specs: by number; rows of counters that are not known here may be of any shape. others: keys
    beside those of counters.
    """
    if key in others:
        return
    if not 0 < key[0] <= LAST_DECLARED:
        raise ValueError("no counter has this number")
    if (spec := specs.get(key[0])) is not None:
        spec.keys.check(key)
