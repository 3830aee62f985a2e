"""Where declared counters begin on each partition of `events`, and which keys they keep.

Both are decided once, by the log of decisions, before anything is counted by them; so whoever has
the partition after a crash, or counts it anew, counts the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from app.counting.counters import Counters
from app.counting.distinct import RowValues
from app.counting.groups import FoldState, LeftOut
from app.counting.registry import Begin, Registry, unknown_keys
from app.counting.spec import TYPES, CounterSpec, Rows
from app.errors import CountersChangedError, KafkaUnavailableError
from app.events.batches import Slice, Verdicts
from app.kafka.counter_log import CounterLog
from app.kafka.outlasting import outlast

RETRY_S = 0.5

log = logging.getLogger(__name__)


class Beginnings:
    """Of the declared counters that this worker counts."""

    def __init__(
        self, counters: Counters, decisions: CounterLog, version: int, *, of_past: bool
    ) -> None:
        """version: of the tables. of_past: whether others begin them, and this worker follows."""
        self._counters, self._log, self._of_past = counters, decisions, of_past
        self._version = version
        self._own = frozenset(s.number for s in counters.values() if s.declared)
        self._limited = [s for s in counters.values() if s.most_keys or s.number == TYPES]
        self._begun: dict[int, dict[int, int]] = {}
        self._lock = asyncio.Lock()

    @property
    def kept(self) -> Mapping[int, Mapping[str, None]]:
        """Keys by number of the counter."""
        return self._log.registry.keys

    async def read(self) -> Registry:
        """Return what is decided by now, however long Kafka is away.

        Raises CountersChangedError where that is not what this worker counts.
        """
        registry = await outlast(self._log.read, "cannot tell which counters are declared")
        if registry.numbers() != self._own:
            raise CountersChangedError("Different counters are declared now")
        return registry

    async def load(self, partition: int, position: int) -> None:
        """Let all counters begin on a partition that this worker begins to read at a position."""
        if partition in self._begun:
            return
        async with self._lock:
            registry = await self.read()
            while missing := self._own - registry.began(partition, self._version).keys():
                if self._of_past:
                    await asyncio.sleep(RETRY_S)
                    registry = await self.read()
                    continue
                begun = [Begin(number, partition, position) for number in sorted(missing)]
                try:
                    registry = await self._log.append(begun)
                except KafkaUnavailableError as exc:
                    log.warning("new counters cannot start: %s", exc)
                    await asyncio.sleep(RETRY_S)
                    registry = await self.read()
            began = registry.began(partition, self._version)
            self._begun[partition] = {number: began[number] for number in self._own}

    def has_room(self) -> bool:
        """Whether a key that was never seen may be kept."""
        return any(not self._log.registry.is_full(spec.number) for spec in self._limited)

    async def decide(self, partition: int, valid: Slice) -> None:
        """Let the keys of events be kept where there is room.

        Also those that a rule then leaves out: what a key is must not wait for their verdict.
        """
        while found := {
            spec.number: keys
            for spec in self._limited
            if not self._log.registry.is_full(spec.number)
            and (keys := self._keys(spec, partition, valid))
        }:
            if not (wanted := unknown_keys(found, self._log.registry)):
                return
            try:
                await self._log.append(wanted)
            except KafkaUnavailableError as exc:
                log.warning("new keys are waiting: %s", exc)
                await asyncio.sleep(RETRY_S)

    def _keys(self, spec: CounterSpec, partition: int, valid: Slice) -> set[str]:
        """Return the keys of events that are not kept, and which a counter counts."""
        kept = self.kept.get(spec.number, {})
        if spec.number == TYPES:
            return valid.kinds - kept.keys()
        if spec.types and not valid.has_any(spec.types):
            return set()
        get = spec.key.get
        new = {key for key in set(map(get, valid.events)) if key is not None and key not in kept}
        if not new:  # nearly always
            return new
        begin = self._begun[partition].get(spec.number, 0)
        counted = {
            get(event)
            for event, offset in zip(valid.events, valid.offsets, strict=True)
            if offset >= begin
            and (not spec.types or event.type in spec.types)
            and spec.matches(event)
        }
        return new & counted

    def fold(
        self, partition: int, verdicts: Verdicts, begin: int, now: float, state: FoldState
    ) -> Rows:
        """Return what events behind an offset add up to, by what has begun where they lie.

        state: what is kept is not of it.
        """
        begun = self._begun.get(partition, {})
        state = state._replace(kept=self.kept)
        return self._counters.fold_begun(begun, verdicts, begin, now, state)

    def distinct_values(
        self, partition: int, verdicts: Verdicts, now: float, left_out: LeftOut | None
    ) -> RowValues:
        """Return what counters that measure distinct values get of events, as fold()."""
        begun = self._begun.get(partition, {})
        return self._counters.distinct_values(begun, verdicts, now, FoldState(self.kept, left_out))

    async def flush(self, partition: int) -> None:
        """Nothing: what is decided is in Kafka before it is counted."""

    def forget(self) -> None:
        """Partitions move: what is decided is asked for again."""
        self._begun.clear()

    async def close(self) -> None:
        """Disconnect."""
        await self._log.close()
