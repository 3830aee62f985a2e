"""Alerts raised: the table whose changelog is the public topic `alerts`.

One alert per rule, key and window, whenever the worker dies (docs/internals/decisions/alerts.md):

* The record is acknowledged before RocksDB gets the row and before the batch of `counts` is
  acknowledged. A row that is missing although the topic has its record is brought back by the
  recovery, which is over before the batch is read again.
* A batch that comes again finds the row and raises nothing: unlike a count, a row that is there
  is never sent again.
* Before it sends, a worker asks the broker whether it still has the partition.

Rows of the totals and sketches of distinct values come from two topics. What either makes due waits
apart from the other's, as its own batch is not acknowledged before it is raised.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from time import time
from typing import Any, Literal

import rocksdict

from app import metrics
from app.alerting.alerts import (
    Due,
    Rule,
    due_windows,
    encode_alert,
    is_alert,
    oldest_start,
    place_before,
    silent_until,
)
from app.counting.counters import Counters
from app.counting.spec import Cells
from app.counting.uniques import Estimate
from app.kafka.session import NO_HEADERS
from app.kafka.sure_topic import SureTopic
from tables.batch_table import BatchTable
from tables.outdone import RecordValues
from tables.totals import windows_of

SILENT_MAX = 200_000  # rows of a partition whose next evaluation is remembered

Source = Literal["totals", "uniques"]  # the table that made it due

log = logging.getLogger(__name__)


class Alerts(BatchTable):
    """(window start, rule, key): the alert as JSON, as in the topic `alerts`."""

    keeps_all = False  # it has readers of its own: no alert comes twice

    def __init__(
        self,
        app: Any,
        *,
        rules: Sequence[Rule],
        counters: Counters,
        topic: SureTopic,
        topic_name: str,
        is_member: Callable[[int], Awaitable[bool]],
        **kwargs: Any,
    ) -> None:
        """is_member: gate of a batch -> whether its partition is still ours."""
        self._topic_name = topic_name  # the changelog is made by the base
        super().__init__(app, **kwargs)
        self._topic, self._is_member, self._counters = topic, is_member, counters
        self._rules: defaultdict[int, list[Rule]] = defaultdict(list)  # by number of the counter
        for rule in rules:
            self._rules[counters.stored(rule.counter).number].append(rule)
            metrics.alerts_raised.labels(rule.name)
        self._least = {n: min(r.threshold for r in rules) for n, rules in self._rules.items()}
        self._sketched = {n for n, (r, *_) in self._rules.items() if r.measure.is_sketch}
        self._longest = max((rule.window for rule in rules), default=0)
        self._silent: defaultdict[int, dict[bytes, int]] = defaultdict(dict)
        self._all_raised: defaultdict[int, set[bytes]] = defaultdict(set)  # rows of sketches
        self._due: defaultdict[tuple[int, Source], dict[bytes, Due]] = defaultdict(dict)

    def _changelog_topic_name(self) -> str:
        return self._topic_name

    # -- raising --------------------------------------------------------------------------

    def note(self, partition: int, rows: Mapping[bytes, Cells], _position: int) -> None:
        """Look at rows of the totals that were merged; what is due waits for raise_due().

        The sum of a row says for nearly all of them that nothing can be due.
        """
        silent, least, now = self._silent[partition], self._least, time()
        for row, cells in rows.items():
            if (lowest := least.get(row[0])) is None:
                continue
            if sum(cells.values()) >= silent.get(row, lowest):
                silent[row] = self.evaluate(partition, row, cells, now)
        if len(silent) > SILENT_MAX:
            silent.clear()

    def evaluate(self, partition: int, row: bytes, cells: Cells, now: float) -> int:
        """Note what is due in a row; return the sum that it must reach for anything more."""
        spec = self._counters.by_number[row[0]]
        key, start, label = spec.keys.parse(row)
        rules = [rule for rule in self._rules[spec.number] if rule.label == label]
        windows = windows_of(spec, start, cells)
        for due in due_windows(rules, key, windows, now):
            self._due[partition, "totals"][due.place] = due
        return silent_until(rules, key, windows, sum(cells.values()))

    def note_sketches(
        self, partition: int, rows: Iterable[bytes], estimate: Callable[[int, bytes], Estimate]
    ) -> None:
        """Look at rows of distinct values that were added to, as note() at those of the totals.

        estimate: (partition, row) -> how many values it has; called only where a rule asks for it.
        """
        raised, now = self._all_raised[partition], time()
        for row in rows:
            if row[0] not in self._sketched or row in raised:
                continue
            key, start, label = self._counters.by_number[row[0]].keys.parse(row)
            rules = [
                rule
                for rule in self._rules[row[0]]
                if rule.label == label and rule.key in {None, key}
            ]
            users, error = estimate(partition, row) if rules else (0, 0.0)
            for due in due_windows(rules, key, {start: users}, now, error):
                self._due[partition, "uniques"][due.place] = due
            if all(users >= rule.threshold for rule in rules):
                raised.add(row)
        if len(raised) > SILENT_MAX:
            raised.clear()

    async def raise_due(self, partition: int, gate: int, source: Source = "totals") -> bool:
        """Raise what is due and was not raised before; only then its topic may be committed.

        gate: of the batch that was merged into source. Returns False where the batch must not be
        acknowledged, as the partition may have another owner.
        """
        if not self._due.get((partition, source)):
            return True
        async with self.busy:  # a rebalance waits for the end of this
            due = self._due.pop((partition, source), {})
            places = sorted(due)
            known = self.db(partition).get(places) if places else []
            new = [due[place] for place, row in zip(places, known, strict=True) if row is None]
            if not new:
                return True
            if await self._is_member(gate) and await self._raise(partition, gate, new):
                return True
            self._silent.pop(partition, None)  # it is all seen again
            self._all_raised.pop(partition, None)
            return False

    async def _raise(self, partition: int, gate: int, new: Sequence[Due]) -> bool:
        """Return whether they are raised: False as raise_due()."""
        now = time()
        alerts = [due.alert(now) for due in new]
        rows = [(d.place, encode_alert(alert)) for d, alert in zip(new, alerts, strict=True)]
        records = [(place, value, NO_HEADERS) for place, value in rows]
        raised_at, owner = int(now * 1000), partial(self._is_member, gate)
        if not await self._topic.send(partition, records, raised_at, owner):
            return False
        changes = rocksdict.WriteBatch(raw_mode=True)
        for place, value in rows:
            changes.put(place, value)
        self.db(partition).write(changes)
        for alert in alerts:
            metrics.alerts_raised.labels(alert.rule).inc()
            log.warning(
                "alert %s: %r has %s of %s in the %d s from %s on (threshold %s)",
                alert.rule,
                alert.key,
                alert.count,
                f"{alert.counter} {alert.label}".strip(),
                alert.window_s,
                alert.window_start,
                alert.threshold,
            )
        return True

    # -- recovery, expiry -----------------------------------------------------------------

    def check_row(self, key: bytes, value: bytes) -> None:
        """As BatchTable."""
        if not is_alert(value):
            raise ValueError(f"{key!r} is no alert")

    def merge_values(self, old: bytes, new: bytes) -> bytes:
        """Either: both say that there was an alert."""
        return min(old, new)

    def _recover_rows(self, partition: int, rows: RecordValues, last: RecordValues) -> None:
        """As BatchTable, without what would expire at once: the topic keeps more than is needed."""
        oldest = self._oldest()
        needed: RecordValues = {
            key: value for key, value in rows.items() if key and value and key >= oldest
        }
        super()._recover_rows(partition, needed, last)

    def _oldest(self) -> bytes:
        # Twice the time: the clock of another worker may be behind.
        return place_before(oldest_start(time(), 2 * self._longest))

    def expired(self, partition: int, now: float) -> Iterable[tuple[bytes, bytes]]:  # noqa: ARG002
        """Return where windows lie that no alert is raised for any more.

        Only here are they forgotten: in the topic they stay until its retention ends.
        """
        return ((b"", self._oldest()),)

    async def delete(self, partition: int, rows: Sequence[bytes]) -> None:
        """Delete rows here, and leave them in the topic."""
        changes = rocksdict.WriteBatch(raw_mode=True)
        for row in rows:
            changes.delete(row)
        self.db(partition).write(changes)
        await asyncio.sleep(0)

    def forget(self) -> None:
        """Drop what is only in memory: it is seen again."""
        super().forget()
        self._silent.clear()
        self._all_raised.clear()
        self._due.clear()

    async def on_stop(self) -> None:
        """Disconnect."""
        await super().on_stop()
        await self._topic.close()
