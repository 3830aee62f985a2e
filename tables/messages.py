"""The message_ids that were seen in each partition of `events`: see app/counting/duplicates.py.

A row is a run; key: b"m", the lowest and the highest offset in it. It holds facts of the log, no
verdicts, so rows may overlap, and be written twice, late or out of order.
"""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any, Self

from app import metrics
from app.counting.duplicates import Seen
from app.counting.message_runs import MessageRun
from app.errors import RecoveringError
from app.events.batches import Named, Slice, Verdicts
from app.settings import Settings
from tables.record_clock import RecordClock
from tables.scans import scan_prefix
from tables.write_behind import WriteBehindTable

RUNS = b"m"  # Faust keeps an offset among the rows
_KEY = struct.Struct(">cQQ")  # RUNS, lowest and highest offset
MS = 1000
EXPIRE_RUNS = 500  # deleted at a time
SAMPLE = 64  # one of so many message_ids is watched
SAMPLED_MAX = 10_000


def run_key(run: MessageRun) -> bytes:
    """Return the key of a run."""
    return _KEY.pack(RUNS, run.offset, run.last)


def run_row(run: MessageRun) -> tuple[bytes, bytes]:
    """Return key and value of a run."""
    return run_key(run), run.pack()


class Messages(WriteBehindTable):
    """(lowest, highest offset): hashes, offsets and times of records with a message_id."""

    def __init__(
        self, app: Any, *, hours: int, by_uuid: bool, committed: Callable[[int], int], **kwargs: Any
    ) -> None:
        """hours: how long a message_id is remembered. by_uuid: whether a uuid may be one.

        committed: partition -> position of the group.
        """
        super().__init__(app, **kwargs)
        self.by_uuid = by_uuid
        self._hours, self._committed = hours, committed
        self._seen: dict[int, Seen] = {}
        self._replaced = defaultdict[int, list[bytes]](list)  # keys of rows that others have all of
        self._clock = RecordClock()
        self._places = Places()

    @classmethod
    def create_for(
        cls, app: Any, settings: Settings, committed: Callable[[int], int]
    ) -> Self | None:
        """Add the table to the app; None where nothing is a duplicate."""
        if not settings.dedupe_hours:
            return None
        made: Self = cls.create(
            app,
            "messages",
            settings.events_partitions,
            cls.__doc__ or "",
            hours=settings.dedupe_hours,
            by_uuid=settings.dedupe_uuid,
            committed=committed,
        )
        return made

    async def load(self, partition: int) -> None:
        """Bring in what was remembered, before judge(); nothing where partitions move meanwhile.

        In a thread: a million message_ids take 0.1 s.
        """
        loaded = self._seen
        if partition not in loaded:
            seen = await asyncio.to_thread(self._read, self.db(partition))
            if loaded is self._seen:  # who was faster may have judged by now
                loaded.setdefault(partition, seen)

    def _read(self, db: Any) -> Seen:
        return Seen(self._hours, (value for _, value in scan_prefix(db, RUNS)))

    def judge(
        self,
        partition: int,
        valid: Slice,
        named: Named,
        known: Collection[int] | None = None,
    ) -> Verdicts:
        """Part the duplicates of a batch from all others, which no rule has looked at yet.

        known: offsets of duplicates that were judged before, by records that may be gone.
        """
        if not named.ids:
            return Verdicts(valid)
        seen = self._seen[partition]
        duplicates = seen.judge(named)
        if known is not None:
            duplicates = set(known)
        self._places.note(partition, seen.newest)
        if not duplicates:
            return Verdicts(valid)
        again = [offset in duplicates for offset in valid.offsets]
        fresh = valid.where([not sent for sent in again])
        return Verdicts(fresh, duplicate=valid.where(again))

    async def sent_before(self, partition: int, named: Named) -> bool | None:
        """Return whether one record, counted by now, is a duplicate; None: forgotten by now.

        Raises RecoveringError where partitions move meanwhile.
        """
        if not named.ids:
            return False
        await self.load(partition)
        if (seen := self._seen.get(partition)) is None:
            raise RecoveringError(f"partition {partition} of events is moving to another worker")
        return seen.sent_before(named)

    @property
    def waiting(self) -> int:
        """How much waits for a flush, in rows of other tables: about 20 bytes each."""
        return sum(seen.fresh for seen in self._seen.values())

    # -- writing --------------------------------------------------------------------------

    def passed(self, partition: int, position: int, record_s: float) -> None:
        """Note the position behind a batch, and the time of its last record, s since 1970."""
        self._clock.passed(partition, position, record_s)

    def gathered(self) -> Collection[int]:
        """Return the partitions with ids that are not written."""
        return [partition for partition, seen in self._seen.items() if seen.fresh]

    async def write_gathered(self, partitions: Collection[int]) -> None:
        """Write what is new; the batches that it came from are acknowledged afterwards."""
        for partition in partitions:
            runs = list(self._seen[partition].take_rows())
            await self.write(partition, [run_row(run) for run, _ in runs])
            if replaced := [run_key(row) for _, rows in runs for row in rows]:
                self._replaced[partition] += replaced

    def check_row(self, key: bytes, value: bytes) -> None:
        """As BatchTable."""
        run = MessageRun.unpack(value)
        sizes = set(map(len, (run.high, run.low, run.offsets, run.times)))
        if _KEY.unpack(key)[0] != RUNS or len(sizes) > 1:
            raise ValueError("no run")

    def merge_values(self, old: bytes, new: bytes) -> bytes:
        """Rows of the same key are the same."""
        return max(old, new)

    def forget(self) -> None:
        """Drop what is not flushed: it will be judged again."""
        super().forget()
        self._seen = {}
        self._replaced.clear()
        self._clock.forget()

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """As BatchTable; what was loaded before lacks what another owner has written."""
        await super().on_recovery_completed(active_tps, standby_tps)
        self._seen = {}

    async def expire(self, partitions: Iterable[int]) -> int:
        """Delete runs that nothing can be a duplicate of any more; return how many rows."""
        dropped, generation = 0, self.generation
        await self._delete_replaced()
        for partition in partitions:
            while gone := await self._expire_some(partition, generation):
                dropped += gone
        return dropped

    async def _expire_some(self, partition: int, generation: int) -> int:
        """Delete as many runs as one turn has time for; none where partitions moved."""
        async with self.busy:
            reached = int(self._clock.reached(partition, self._committed(partition)) * MS)
            seen = self._seen.get(partition)
            if generation != self.generation or not reached or seen is None:
                return 0
            seen.expire(reached)
            old = self._past(partition, seen.forgotten_before(reached))
            if old:
                await self.delete(partition, old)
            return len(old)

    def _past(self, partition: int, end: int) -> list[bytes]:
        """Return keys of runs that end before a time in ms."""
        old: list[bytes] = []
        for key, value in scan_prefix(self.db(partition), RUNS):
            if len(old) == EXPIRE_RUNS or MessageRun.unpack(value).latest >= end:
                break
            old.append(key)
        return old

    async def _delete_replaced(self) -> None:
        """Delete what is in other rows, too, once Kafka has acknowledged those."""
        replaced, self._replaced = self._replaced, defaultdict(list)
        generation = self.generation
        if replaced:
            await self.drain()
        for partition, keys in replaced.items():
            async with self.busy:
                if generation != self.generation:
                    return
                await self.delete(partition, keys)


class Places:
    """A sample of message_ids, and where each was seen: one on two partitions is never found out.

    Of the partitions that this worker has: a sign that producers key otherwise, not a number.
    """

    def __init__(self) -> None:
        self._partitions: dict[int, int] = {}

    def note(self, partition: int, run: MessageRun) -> None:
        """Look at the message_ids of a batch."""
        known = self._partitions
        for name in run.high[run.low % SAMPLE == 0].tolist():
            if known.setdefault(name, partition) != partition:
                metrics.messages_apart.inc()
        if len(known) > SAMPLED_MAX:
            known.clear()
