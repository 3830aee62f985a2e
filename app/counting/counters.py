"""The declared counters together, and the fold of events into their rows. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from app.counting.carried import Carried, parted
from app.counting.distinct import DistinctFold, RowValues
from app.counting.folding import Fold
from app.counting.groups import FoldState
from app.counting.spec import ROW_WINDOWS, CounterSpec, Rows
from app.events.batches import Verdicts

NOTHING_KEPT = FoldState()


class Counters(Mapping[str, CounterSpec]):
    """The declared counters by name."""

    def __init__(self, specs: Iterable[CounterSpec], dropped: Iterable[CounterSpec] = ()) -> None:
        """dropped: those whose rows have to go."""
        self.dropped = tuple(dropped)
        self._specs = {spec.name: spec for spec in specs}
        self.by_number = {spec.number: spec for spec in self._specs.values()}
        self.known = self.by_number | {spec.number: spec for spec in self.dropped}
        if len(self.by_number) != len(self._specs):
            raise ValueError("two counters share a number")
        self._parts: dict[frozenset[int], Counters] = {}
        self.carried = self._carried()
        specs = [spec for spec in self._specs.values() if not spec.sum_of]
        self._fold = Fold((spec for spec in specs if not spec.measure.is_sketch), self.carried)
        self._distinct = DistinctFold(spec for spec in specs if spec.measure.is_sketch)

    def _carried(self) -> Carried | None:
        """Return the counters that come along with another one; None: there are none."""
        levels = [spec for spec in self._specs.values() if spec.carried_by]
        base = self._specs.get(levels[0].carried_by) if levels else None
        return None if base is None else Carried(base, levels)

    def __getitem__(self, name: str) -> CounterSpec:
        return self._specs[name]

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - as Mapping says
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def expired_ranges(self, now: float) -> Iterator[tuple[bytes, bytes]]:
        """Yield [begin, end) of rows that are past their retention, or of no counter any more."""
        for spec in self._specs.values():
            if (bounds := spec.expired_range(now)) is not None:
                yield bounds
        for spec in self.dropped:
            yield spec.keys.first, spec.keys.end

    def sketched(self) -> Counters:
        """Return the counters whose rows are sketches, in the table `uniques`."""
        ours, gone = (
            [spec for spec in specs if spec.measure.is_sketch]
            for specs in (self._specs.values(), self.dropped)
        )
        return Counters(ours, gone)

    def without(self, numbers: Collection[int]) -> Counters:
        """Return the counters but for some."""
        return self._of(frozenset(self.by_number.keys() - numbers))

    def only(self, number: int) -> Counters:
        """Return one counter."""
        return self._of(frozenset((number,)))

    def _of(self, numbers: frozenset[int]) -> Counters:
        found = self._parts.get(numbers)
        if found is None:
            found = Counters(spec for spec in self._specs.values() if spec.number in numbers)
            self._parts[numbers] = found
        return found

    def layout(self) -> dict[int, int]:
        """Return {number: how its rows are laid out}; rows of another layout cannot be read."""
        return {
            number: (spec.row_windows - ROW_WINDOWS << 32)
            + (spec.window or 0) * 2
            + (spec.retention is None)
            for number, spec in self.by_number.items()
            if not spec.sum_of and not spec.declared
        }

    def stored(self, name: str) -> CounterSpec:
        """Return the counter whose rows answer for this one."""
        spec = self._specs[name]
        return self._specs[spec.sum_of] if spec.sum_of else spec

    def fold(
        self,
        verdicts: Verdicts,
        now: float,
        state: FoldState = NOTHING_KEPT,
    ) -> Rows:
        """Return the rows that these events add up to.

        now: seconds since 1970, for what is too old for a counter.
        """
        return self._fold.rows(verdicts, now, state)

    def spread(self, rows: Rows, now: float) -> Rows:
        """Return rows of a fold with what they carry for other counters in rows of these."""
        if self.carried is None:
            return rows
        loose = {row: parted(rows[row])[1] for row in self.carried.carrying(rows)}
        return self.carried.spread(rows, loose, now)

    def fold_begun(
        self,
        begun: Mapping[int, int],
        verdicts: Verdicts,
        begin: int,
        now: float,
        state: FoldState = NOTHING_KEPT,
    ) -> Rows:
        """Return fold() of events behind an offset, by what has begun where they lie.

        begun: {number: offset}; those that are not in it count from the first event on.
        """
        late = {number: at for number, at in begun.items() if at > begin + 1}
        if not late:
            return self.fold(verdicts, now, state)
        rows = self.without(late).fold(verdicts, now, state)
        last = max((part.offsets[-1] for part in verdicts if part.offsets), default=begin)
        for number, at in late.items():
            if at <= last:
                part = verdicts.between(at - 1, last)
                rows |= self.only(number).fold(part, now, state)
        return rows

    def distinct_values(
        self,
        begun: Mapping[int, int],
        verdicts: Verdicts,
        now: float,
        state: FoldState = NOTHING_KEPT,
    ) -> RowValues:
        """Return {row: values} of the counters that sketched() has; arguments as fold_begun()."""
        return self._distinct.values(verdicts.human, begun, now, state.kept, state.left_out)
