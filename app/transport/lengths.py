"""What a worker does where the log and its positions do not fit together any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from aiokafka import errors
from faust.transport.consumer import ensure_TP
from faust.types import TP
from mode import Service

from app.events.records import Batch
from app.transport.committed import CommittedConsumer
from app.transport.progress import PositionError, Progress

ASK_AGAIN_S = 0.5
COUNT_ANEW = "Count anew with: event-counter rebuild tables"


class LogHooks:
    """What the application knows and does about its logs; a transport has one.

    table_position: partition -> offset below which the table that is made from it has everything;
    None: it has no row. Partitions without such a table are not asked for. keep_position: called
    with a partition and a position of it before that is committed; the table has a row that says it
    afterwards, also where no record came. lose: told a partition and the offsets [begin, end) that
    such a table lacks, and the log has no more. fill_up: called where
    Kafka may have lost what is below a position; the log reaches it afterwards, and its records say
    what is lost. on_lost: told how many offsets were deleted before they were read. diagnose:
    returns why Kafka cannot take a commit at the moment; "" where nothing is wrong with it. Raises
    HopelessError where it never will. changelogs_of: topic -> changelogs of the tables with a
    partition for each of its own.
    stored_to: (offset, whole) of a partition: below the offset everything is where the worker puts
    it; whole: what follows is missing where Kafka has it no more. None: as far as its group is.
    """

    def __init__(self) -> None:
        self.table_position: dict[str, Callable[[int], int | None]] = {}  # by topic
        self.keep_position: dict[str, Callable[[int, int], Awaitable[None]]] = {}  # by topic, too
        self.lose: dict[str, Callable[[int, int, int], object]] = {}
        self.fill_up: Callable[[Any, int], Awaitable[None]] | None = None
        self.diagnose: Callable[[], Awaitable[str]] = _well
        self.changelogs_of: Callable[[str], Collection[str]] = lambda _topic: ()
        self.on_lost: Callable[[Any, int], object] = lambda _tp, _count: None
        self.stored_to: Callable[[Any], Awaitable[tuple[int, bool] | None]] = _as_committed


async def _well() -> str:
    return ""


async def _as_committed(_tp: Any) -> None:
    return None


class LengthConsumer(CommittedConsumer):
    """Base of the batch consumer: starts where table and log agree, and looks at both ends.

    refused: why nothing can be delivered; empty: nothing is wrong.
    """

    max_misses = 3
    look_s = 2.0  # between looks at partitions that are quiet
    skip_deleted = True  # records that retention deleted before they were read: go on, or stop

    _looking: asyncio.Future[bool] | None = None
    _rejoining: asyncio.Future[None] | None = None
    _open: dict[Any, Progress] | None
    _failed: BaseException | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.refused = ""
        self._told: dict[Any, int] = {}
        super().__init__(*args, **kwargs)

    @property
    def hooks(self) -> LogHooks:
        """What the application does about its logs."""
        return self.transport.hooks  # type: ignore[no-any-return]

    async def topic_ids(self, topics: Collection[str]) -> dict[str, bytes]:
        """Return the ids of the topics that are there and have one, once Kafka answers."""
        while topics:
            try:
                found = await self._thread.call_thread(self._thread.topic_ids, topics)
            except errors.KafkaError as exc:
                self.log.info("cannot ask which topics these are: %r", exc)
                await asyncio.sleep(ASK_AGAIN_S)
            else:
                return dict(found)
        return {}

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """Look at once for what is lacking: recovery waits for what was sent to it, 90 s."""
        self._looking = asyncio.ensure_future(self.lacks_changelogs(set(map(ensure_TP, assigned))))
        await super().on_partitions_assigned(assigned, generation_id)

    async def settle(
        self, committed: Mapping[Any, int | None], start: dict[Any, int]
    ) -> dict[Any, int] | None:
        """Return where each partition is read from, given where its group stands.

        A table that is behind the commit, because its changelog is gone, is made from the log
        again. What the log has no more of it is lost; where that is everything, return None, and
        `refused` says it. None, too, where partitions move meanwhile: nothing is done any more.
        """
        gate = self.gate
        begins, ends = await self._edges(start)
        settled = dict(start)
        for tp, offset in start.items():
            has = self._table_position(tp)
            furthest = max(offset, has or 0)
            if gate != self.gate:
                return None
            if ends[tp] < furthest or offset < furthest:  # what is not committed only we know of
                await self._fill_up(tp, furthest)
            if committed.get(tp) in (None, -1):
                continue
            settled[tp] = await self._stored_to(tp, offset, begins[tp])
            if gate != self.gate:
                return None
            if has is False or (has or 0) >= offset:
                continue
            if has is None and begins[tp] > 0:
                self.refused = (
                    f"the rows of {tp.topic}-{tp.partition} are gone, which was read up to offset"
                    f" {offset}, and Kafka has no record below {begins[tp]}. {COUNT_ANEW}"
                )
                self.log.error("%s", self.refused)
                return None
            settled[tp] = self._settle_behind(tp, has or 0, begins[tp])
        return settled

    def _settle_behind(self, tp: Any, has: int, begin: int) -> int:
        """Return where to read a partition from whose table lacks what was committed."""
        if begin > has:
            self.log.error("%s: its table lacks what follows %d. %s", tp, has, COUNT_ANEW)
            self.tell_lost(tp, has, begin)
            if (lose := self.hooks.lose.get(tp.topic)) is not None:
                lose(tp.partition, has, begin)
            return begin
        self.log.warning("%s is read again from %d: its table ends there", tp, has)
        return has

    async def keep_positions(self, offsets: Mapping[Any, int]) -> None:
        """Let tables have rows that say what is about to be committed."""
        gate = self.gate
        for tp, offset in offsets.items():
            if gate != self.gate:
                return  # a row of now would be one of another generation
            if (keep := self.hooks.keep_position.get(tp.topic)) is not None:
                await keep(tp.partition, offset)

    async def _stored_to(self, tp: Any, offset: int, begin: int) -> int:
        """Return where to read a partition from: what is behind there may have been put back."""
        stored = await self.hooks.stored_to(tp)
        if stored is None or stored[0] >= offset:
            return offset
        at, whole = stored
        if whole and at < begin:
            self.tell_lost(tp, at, min(begin, offset))
        again = min(max(at, begin), offset)
        self.log.info("%s is read again from %d: what is stored of it ends there", tp, again)
        return again

    async def lacks_changelogs(self, assigned: Collection[Any]) -> bool:
        """Whether changelogs of partitions that we have are not among them; `refused` says it then.

        A topic that is made anew while its table lives is in nobody's assignment until the leader
        of the group makes another; and one that was started again gets its old assignment.
        """
        wanted = {
            TP(changelog, tp.partition)
            for tp in assigned
            for changelog in self.hooks.changelogs_of(tp.topic)
        }
        if not (lacking := sorted(wanted - set(assigned))):
            return False
        self.refused = f"nobody has {', '.join(map(str, lacking))} for now: asking for it"
        self.log.warning("%s", self.refused)
        try:
            await self.hooks.diagnose()
        except TimeoutError as exc:
            await self.fail(exc)
        else:
            self._rejoining = asyncio.ensure_future(self._rejoin(set(assigned)))
        return True

    async def _rejoin(self, assigned: Collection[Any]) -> None:
        """Ask for another assignment, unless it came meanwhile: all workers close for each."""
        await asyncio.sleep(self.look_s)
        if {ensure_TP(tp) for tp in self.assignment()} == assigned:
            await self._thread.call_thread(self._thread.rejoin)

    def _table_position(self, tp: Any) -> Any:
        """Return None where the table has no row, False where there is no table."""
        ask = self.hooks.table_position.get(tp.topic)
        return False if ask is None else ask(tp.partition)

    async def _edges(self, tps: Collection[Any]) -> tuple[dict[Any, int], dict[Any, int]]:
        if not tps:
            return {}, {}
        begins, ends = await self.earliest_offsets(*tps), await self.highwaters(*tps)
        return (
            {ensure_TP(tp): offset for tp, offset in begins.items()},
            {ensure_TP(tp): offset for tp, offset in ends.items()},
        )

    async def _fill_up(self, tp: Any, position: int) -> None:
        if self.hooks.fill_up is not None:
            await self.hooks.fill_up(tp, position)

    def tell_lost(self, tp: Any, begin: int, end: int) -> None:
        """Count offsets that were deleted before they were read, each once."""
        begin = max(begin, self._told.get(tp, 0))
        if end > begin:
            self._told[tp] = end
            self.hooks.on_lost(tp, end - begin)
            self.log.error("%s: Kafka deleted the offsets from %d to %d unread", tp, begin, end)

    async def look_at_edges(self, idle: Mapping[Any, int]) -> None:
        """Look whether partitions that are quiet are as they were left; idle: their positions."""
        begins, ends = await self._edges(idle)
        for tp, position in idle.items():
            if ends[tp] < position:
                await self._fill_up(tp, position)
            elif begins[tp] > position:
                self.tell_lost(tp, position, begins[tp])

    async def _misplaced(self, tp: Any, progress: Progress, batch: Batch) -> bool:
        """Whether to go on with a batch that does not start where the last one ended."""
        progress.misses += 1
        begins, ends = await self._edges([tp])
        deleted = progress.next < batch.before <= begins[tp]
        if deleted and self.skip_deleted:
            self.tell_lost(tp, progress.next, batch.before)
            batch.lost = batch.before - progress.next
            return True
        if ends[tp] < progress.next:  # so aiokafka began at the begin of the log
            await self._fill_up(tp, progress.next)
            progress.misses = 0
        found = (
            f"{tp}: fetched from {batch.before} instead of {progress.next}, log from {begins[tp]}"
            f" to {ends[tp]}"
        )
        self.log.error(found)
        if deleted or progress.misses > self.max_misses:
            await self.fail(PositionError(found))
        elif batch.gate == self.gate:
            await self._thread.call_thread(self._thread.seek, tp, progress.next)
        return False

    @Service.task
    async def _watch_edges(self) -> None:
        """Where nothing is fetched any more, nobody else would notice."""
        before: dict[Any, int] = {}
        async for _ in self.itertimer(self.look_s, name="watch_edges"):
            now = {tp: progress.next for tp, progress in (self._open or {}).items()}
            idle = {tp: at for tp, at in now.items() if before.get(tp) == at and not self._failed}
            before = now
            try:
                await self.look_at_edges(idle)
            except errors.KafkaError as exc:
                self.log.info("cannot read the ends of the logs: %r", exc)
