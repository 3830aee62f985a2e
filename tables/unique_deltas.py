"""What the events of a source partition add to the distinct users, on its way to `uniques`."""

from __future__ import annotations

from collections import defaultdict

from app.counting.distinct import RowValues
from app.counting.row_keys import mark_of
from app.counting.spec import counts_partition
from app.counting.uniques import Accumulator, owner_key
from app.events.batches import Slice
from tables.partials import Partials
from tables.unique_marks import encode_sent

WEIGHT = 5  # a sketch takes 1.2 KB or more, a row of the partials 0.2-0.4 KB


class UniqueDeltas:
    """Gathers users between two flushes of the partials, and sends them with it.

    No offsets: a batch that comes again is sent again, and its users are known then.
    topic, partitions: of `uniques`.
    """

    def __init__(self, partials: Partials, topic: str, partitions: int) -> None:
        self._own = partials.counters.sketched().known
        self._partials, self._topic, self._partitions = partials, topic, partitions
        self._users: defaultdict[int, Accumulator] = defaultdict(Accumulator)
        partials.carry(self)

    def note(self, partition: int, events: Slice, now: float) -> None:
        """Add events of a source partition, before they are noted as absorbed; now: s since 1970.

        All of a batch, also where it comes again: what was sent before may not have arrived.
        """
        self._users[partition].note(events, now)

    def note_values(self, partition: int, values: RowValues) -> None:
        """Add values that counters of a counters.toml tell apart, as note()."""
        self._users[partition].note_values(values)

    @property
    def waiting(self) -> int:
        """What waits for a flush, in rows of the partials."""
        return WEIGHT * sum(map(len, self._users.values()))

    async def flush(self, partition: int) -> None:
        """Send the sketches of a source partition to the partitions of `uniques` that own them.

        Behind them each partition gets a mark: what it has then.
        """
        marks: list[tuple[bytes, bytes]] = []
        if position := self._partials.flushing.get(partition, 0):
            marks.append((mark_of(partition), encode_sent(position)))
        sketches: defaultdict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for row, sketch in self._users[partition].take().items():
            target = counts_partition(owner_key(row, self._own), self._partitions)
            sketches[target].append((row, sketch))
        for target in range(self._partitions):
            records = self._partials.record_batches()
            records.extend(sketches[target] + marks)
            await self._partials.send(partition, self._topic, target, records)

    def forget(self) -> None:
        """Drop what is not sent: the events are read again."""
        self._users.clear()
