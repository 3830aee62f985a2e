"""What a batch of `events` goes through before it is in the rows of the partials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from time import time
from typing import Any, NamedTuple

from app import metrics
from app.counting.groups import FoldState, LeftOut
from app.counting.measures import SUM_OVERFLOW
from app.counting.outcomes import offsets_between, outcomes
from app.counting.spec import OTHER_KEY, Rows
from app.errors import RejectedError
from app.events.batches import Decoded, Verdicts, forget_known_users
from tables.beginnings import Beginnings
from tables.messages import Messages
from tables.outcome_row import OUTCOMES_ROW
from tables.partials import Partials
from tables.statistics import Statistics

ROLE = "count"
MESSAGES_A_ROW = 10  # a message_id takes 40 bytes until it is flushed, a row 400


class JudgedBatch(NamedTuple):
    """What a batch holds. rejected: (record, why). fillers: see app.events.filler."""

    verdicts: Verdicts
    rejected: Sequence[tuple[Any, RejectedError]] = ()
    fillers: Sequence[Any] = ()

    @classmethod
    def joined(cls, parts: Sequence[JudgedBatch]) -> JudgedBatch:
        """Return what parts that follow each other hold."""
        if len(parts) == 1:
            return parts[0]
        verdicts, rejected, fillers = zip(*parts, strict=True)
        lists = (list(chain.from_iterable(column)) for column in (rejected, fillers))
        return cls(Verdicts.joined(verdicts), *lists)

    def between(self, begin: int, end: int) -> JudgedBatch:
        """Return what lies at the offsets (begin, end]."""
        rejected = [pair for pair in self.rejected if begin < pair[0].offset <= end]
        fillers = [record for record in self.fillers if begin < record.offset <= end]
        return JudgedBatch(self.verdicts.between(begin, end), rejected, fillers)


@dataclass(frozen=True)
class Judges:
    """What a batch is judged by. statistics, messages: None: off. begun: None: no own counters."""

    statistics: Statistics | None = None
    messages: Messages | None = None
    begun: Beginnings | None = None

    def tables(self) -> list[Statistics | Messages]:
        """Return what remembers something of a batch."""
        return [part for part in (self.messages, self.statistics) if part is not None]

    def waiting(self) -> int:
        """Return how much waits for a flush, about, in rows."""
        return (self.statistics.waiting if self.statistics else 0) + (
            0 if self.messages is None else self.messages.waiting // MESSAGES_A_ROW
        )

    def shrink(self) -> None:
        """Forget what can be read again."""
        forget_known_users()
        if self.statistics is not None:
            self.statistics.shrink()

    @property
    def by_uuid(self) -> bool:
        """Whether an event's uuid is its message_id where it has none."""
        return self.messages is not None and self.messages.by_uuid

    async def load(self, partition: int) -> None:
        """Bring in what judge() will look at."""
        if self.messages is not None:
            await self.messages.load(partition)

    def judge(self, batch: Sequence[Any], decoded: Decoded, now: float) -> Verdicts:
        """Sort the events of a batch, duplicates first: no rule looks at them."""
        partition, verdicts = batch[0].partition, Verdicts(decoded.valid)
        position, record_s = batch[-1].offset + 1, batch[-1].timestamp / 1000
        if self.messages is not None:
            verdicts = self.messages.judge(
                partition, decoded.valid, decoded.named, decoded.duplicates
            )
            self.messages.passed(partition, position, record_s)
        if self.statistics:
            again = verdicts.duplicate
            verdicts = self.statistics.judge(partition, verdicts.human)._replace(duplicate=again)
            self.statistics.note(partition, verdicts, now)
            self.statistics.passed(partition, position, record_s)
        return verdicts

    def note_values(
        self, partition: int, verdicts: Verdicts, now: float, left_out: LeftOut
    ) -> None:
        """Add what counters of a counters.toml count the distinct values of."""
        if self.statistics and self.begun:
            values = self.begun.distinct_values(partition, verdicts, now, left_out)
            self.statistics.note_values(partition, values)


def add(partials: Partials, judges: Judges, batch: Sequence[Any], seen: JudgedBatch) -> None:
    """Count the events of a batch, or of a part of what was seen."""
    partition, now = batch[0].partition, time()
    first, last = batch[0].offset, batch[-1].offset
    verdicts, rejections, fillers = seen.between(first - 1, last)
    received = [record.offset for record in batch]
    if fillers:
        none = {record.offset for record in fillers}
        received = [offset for offset in received if offset not in none]
    before = partials.last(partition)
    rejected = [record.offset for record, _ in rejections]
    left_out, told = LeftOut(), first - 1  # of the offsets up to there

    def fold(begin: int, end: int) -> Rows:
        nonlocal told
        part = verdicts.between(begin, end)
        left, told = (left_out, end) if begin == told else (None, told)
        state = FoldState(left_out=left, full=partials.full[partition])
        if judges.begun is None:
            rows = partials.counters.fold(part, now, state)
        else:
            rows = judges.begun.fold(partition, part, begin, now, state)
        rows[OUTCOMES_ROW] = outcomes(
            offsets_between(received, begin, end),
            part,
            offsets_between(rejected, begin, end),
        )
        return rows

    judges.note_values(partition, verdicts, now, left_out)
    partials.absorb(partition, first, last, fold)
    if fillers or partials.void(partition):
        metrics.events_lost.labels(ROLE).inc(partials.account(partition, batch, before))
        if fillers:
            partials.send_again(partition)
    metrics.events_counted.inc(len(verdicts.human.events))
    metrics.bot_views.inc(len(verdicts.bot.events))
    metrics.duplicates.inc(len(verdicts.duplicate.events))
    tell_left_out(partials, left_out)


def tell_left_out(partials: Partials, left_out: LeftOut) -> None:
    """Let metrics say what counters of a counters.toml could not add, or counted together."""
    for number, many in partials.too_large.items():
        left_out[partials.counters.by_number[number].name, SUM_OVERFLOW] += many
    partials.too_large.clear()
    for (counter, code), many in left_out.items():
        if code == OTHER_KEY:
            metrics.keys_in_other.labels(counter).inc(many)
        else:
            metrics.counter_left_out.labels(counter, code).inc(many)
