"""What all count workers agreed on about declared counters: a fold over one log. Pure.

Every worker reads the same records in the same order, so the order decides: who came first with a
name, a beginning or a key. A record that came too late changes nothing, for anybody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from app.counting.declared import Declared, Meaning
from app.counting.spec import FIRST_DECLARED, LAST_DECLARED, TYPES, CounterSpec

KEYS_MAX_CHARS = 100_000  # of a record, which takes 1 MB; a character has six bytes at most


class Declare(msgspec.Struct, tag="declare", tag_field="op"):
    """A counter begins; it gets the next number."""

    name: str
    meaning: Meaning
    description: str = ""


class Drop(msgspec.Struct, tag="drop", tag_field="op"):
    """A counter ends, and its rows with it; its number is not given again."""

    name: str


class Begin(msgspec.Struct, tag="begin", tag_field="op"):
    """A counter counts a partition of `events` from this offset on."""

    number: int
    partition: int
    offset: int


class PastCounted(msgspec.Struct, tag="whole", tag_field="op"):
    """What came before the beginning of a counter is counted, too.

    version: of the first tables that hold it, and those after them do.
    """

    number: int
    version: int = 1


class Limit(msgspec.Struct, tag="limit", tag_field="op"):
    """How many keys of a built-in counter are kept; the first one holds."""

    number: int
    most: int


class KeysSeen(msgspec.Struct, tag="keys", tag_field="op"):
    """Keys that a counter with most_keys was first seen with."""

    number: int
    keys: list[str]


Decision = Declare | Drop | Begin | PastCounted | Limit | KeysSeen

encode_decision = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Decision).decode


class Registered(msgspec.Struct, frozen=True):
    """A counter under its number."""

    number: int
    name: str
    meaning: Meaning
    description: str

    def spec(self) -> CounterSpec:
        """Return the counter."""
        return self.meaning.spec(self.number, self.name, self.description)


class Registry:
    """The decisions up to some offset of the log."""

    def __init__(self) -> None:
        self.counting: dict[str, Registered] = {}
        self.dropped: dict[int, Registered] = {}
        self.begins: dict[tuple[int, int], int] = {}  # (number, partition of `events`) -> offset
        self.whole: dict[int, int] = {}  # number -> version of the first tables with its past
        self.keys: dict[int, dict[str, None]] = {}  # in the order of their arrival
        self._limits: dict[int, int] = {}
        self._next = FIRST_DECLARED

    def apply(self, record: bytes | None) -> bool:
        """Take a record in; return False where it is none of ours."""
        try:
            decision: Decision = _decode(record or b"")
        except msgspec.MsgspecError:
            return False
        if isinstance(decision, Declare):
            self._declare(decision)
        elif isinstance(decision, Drop):
            if known := self.counting.pop(decision.name, None):
                self.dropped[known.number] = known
                self.keys.pop(known.number, None)
        elif isinstance(decision, Begin):
            self.begins.setdefault((decision.number, decision.partition), decision.offset)
        elif isinstance(decision, PastCounted):
            self.whole.setdefault(decision.number, decision.version)
        elif isinstance(decision, Limit):
            self._limit(decision.number, decision.most)
        else:
            self._keep(decision)
        return True

    def _declare(self, decision: Declare) -> None:
        if decision.name in self.counting or self._next > LAST_DECLARED:
            return
        known = Registered(self._next, decision.name, decision.meaning, decision.description)
        self.counting[known.name] = known
        self._next += 1
        if known.meaning.most_keys:
            self._limit(known.number, known.meaning.most_keys)

    def _limit(self, number: int, most: int) -> None:
        if number not in self._limits:
            self._limits[number], self.keys[number] = most, {}

    def _keep(self, decision: KeysSeen) -> None:
        if (kept := self.keys.get(decision.number)) is None:
            return
        for key in decision.keys:
            if len(kept) >= self._limits[decision.number]:
                break
            kept[key] = None

    @property
    def numbers_left(self) -> int:
        """How many further counters can ever be declared."""
        return LAST_DECLARED + 1 - self._next

    def limit(self, number: int) -> int | None:
        """Return how many keys of a counter are kept; None: all."""
        return self._limits.get(number)

    def types_kept(self) -> list[str] | None:
        """Return the types that are counted by name, all others as OTHER_KEY; None: all are."""
        return list(self.keys[TYPES]) if TYPES in self.keys and self.is_full(TYPES) else None

    def room(self, number: int) -> int:
        """Return how many further keys of a counter may be kept."""
        return max(0, self._limits.get(number, 0) - len(self.keys.get(number, ())))

    def is_full(self, number: int) -> bool:
        """Whether no further key of a counter is kept."""
        return self.room(number) == 0

    def numbers(self) -> frozenset[int]:
        """Return the numbers of the counters that count."""
        return frozenset(known.number for known in self.counting.values())

    def specs(self) -> tuple[CounterSpec, ...]:
        """Return the counters that count."""
        return tuple(known.spec() for known in self.counting.values())

    def dropped_specs(self) -> tuple[CounterSpec, ...]:
        """Return the counters whose rows have to go."""
        return tuple(known.spec() for known in self.dropped.values())

    def began(self, partition: int, version: int) -> dict[int, int]:
        """Return {number: offset} that counters begin at on a partition, in tables of a version.

        0: the past is counted, too. One that has not begun there is not in it.
        """
        begun = {
            number: offset for (number, part), offset in self.begins.items() if part == partition
        }
        return begun | {number: 0 for number, since in self.whole.items() if since <= version}


def to_declare(declared: Iterable[Declared], registry: Registry) -> list[Declare]:
    """Return what is new in a file.

    Raises ValueError that names the lines of what has changed its meaning.
    """
    new: list[Declare] = []
    changed: list[str] = []
    for one in declared:
        known = registry.counting.get(one.name)
        if known is None:
            new.append(Declare(one.name, one.meaning, one.description))
        else:
            changed += _changes(one, known.meaning)
    if changed:
        raise ValueError("; ".join(changed))
    if len(new) > registry.numbers_left:
        raise ValueError(f"{len(new)} new counters; only {registry.numbers_left} numbers are left")
    return new


def _changes(one: Declared, before: Meaning) -> list[str]:
    return [
        f"{one.at(field)} differs from {_words(getattr(before, field))}, by which it is counted"
        for field in one.meaning.differences(before)
    ]


def _words(value: object) -> str:
    return msgspec.json.encode(value).decode() if value not in (None, 0, "") else "none"


def left_over(declared: Iterable[Declared], registry: Registry) -> list[str]:
    """Return the names of counters that are counted, and not in the file."""
    return sorted(registry.counting.keys() - {one.name for one in declared})


def unknown_keys(found: Mapping[int, Collection[str]], registry: Registry) -> list[KeysSeen]:
    """Return what must be decided before these keys, by number, can be counted."""
    wanted = []
    for number, keys in found.items():
        kept = registry.keys.get(number, {})
        new = sorted(set(keys) - kept.keys())[: registry.room(number)]
        wanted += [KeysSeen(number, some) for some in _in_records(new)]
    return wanted


def _in_records(keys: list[str]) -> Iterator[list[str]]:
    """Yield keys by as many as fit into a record."""
    some, size = list[str](), 0
    for key in keys:
        if some and size + len(key) > KEYS_MAX_CHARS:
            yield some
            some, size = [], 0
        some.append(key)
        size += len(key)
    if some:
        yield some
