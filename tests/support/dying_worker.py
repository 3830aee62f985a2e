"""A worker that kills itself inside a flush: `python -m tests.support.dying_worker ROLE`.

Between a kill and what it interrupts lie microseconds, so a kill from outside hardly ever meets
the moments that matter. Here the worker's own methods are wrapped, in this process only: at a
chosen flush some of its writes arrive and the others never happen, and then comes SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import sys
from dataclasses import asdict, dataclass
from typing import Any

import mode.loop

mode.loop.use("uvloop")

from faust.tables.recovery import Recovery  # noqa: E402 - the loop comes before Faust

from agents.publish_totals import Publisher  # noqa: E402 - the loop comes before Faust
from app import cli  # noqa: E402
from app.kafka.sure_topic import SureTopic  # noqa: E402
from app.stores.event_store import EventStore  # noqa: E402
from app.transport import BatchConsumer  # noqa: E402
from tables.batch_table import BatchTable  # noqa: E402
from tables.judged import JudgedTable  # noqa: E402
from tables.messages import Messages  # noqa: E402
from tables.partials import Partials  # noqa: E402
from tables.sessions import Sessions  # noqa: E402
from tables.totals import Totals  # noqa: E402
from tables.uniques import Uniques  # noqa: E402
from tables.write_behind import WriteBehindTable  # noqa: E402

log = logging.getLogger(__name__)

# Each writes what has gathered by write_gathered(), within which a worker may end.
WRITE_BEHIND: dict[str, type[WriteBehindTable]] = {
    "partials": Partials,
    "uniques": Uniques,
    "judged": JudgedTable,
    "messages": Messages,
    "sessions": Sessions,
}
LINGER_S = 2.5  # the commit interval is 1 s


@dataclass(frozen=True)
class Fate:
    """How a process ends, or where it stops.

    where: `partials`, `totals`, `uniques`, `judged`, `messages`, `sessions`, inside a flush of that
    table;
    `alerts`, before or (changelog) after they are acknowledged, before the table has them;
    `commit`, right after an offset commit; `copy` or `stored`, before or after a transaction of the
    store ends; `news`, frozen with totals that it is about to publish; `recovery`, joins its group
    again when it begins to read changelogs; `never`.
    after: how many of them go well before. rocksdb, changelog: whether that flush reaches them.
    counts: share of the partitions of `counts` whose records are acknowledged, the others get
    nothing. lingers: it goes on for longer than a commit interval, while the records of that flush
    and of all later ones wait for their acknowledgement, so that nothing more may be committed.
    forgetful: rows that a replay does not change are not sent again, as they must be.
    """

    where: str
    after: int = 0
    rocksdb: bool = True
    changelog: bool = True
    counts: float = 1.0
    seed: int = 0
    lingers: bool = False
    forgetful: bool = False

    def to_json(self) -> str:
        """Return what the environment variable DYING_WORKER_FATE takes."""
        return json.dumps(asdict(self))


class Dying:
    """Wraps the methods of the tables, the consumer and the store."""

    def __init__(self, fate: Fate) -> None:
        self._fate, self._rng = fate, random.Random(fate.seed)
        self._left = fate.after
        self._table: Any = None  # in its last flush

    def prepare(self) -> None:
        """Put the end in its place."""
        if self._fate.forgetful:
            forget_replays()
        if self._fate.where in ("totals", *WRITE_BEHIND):
            self._end_in_a_flush()
        elif self._fate.where == "alerts":
            self._end_at_an_alert()
        elif self._fate.where == "news":
            self._freeze_with_news()
        elif self._fate.where == "recovery":
            self._rebalance_before_a_recovery()
        elif self._fate.where == "commit":
            self._end_after(BatchConsumer, "_commit_offsets")
        elif self._fate.where == "copy":
            self._end_after(EventStore, "_transaction")
        elif self._fate.where == "stored":
            self._end_after(EventStore, "store")

    def _due(self) -> bool:
        """Whether this is the one."""
        self._left -= 1
        return self._left < 0

    def _end_after(self, owner: Any, name: str) -> None:
        whole = getattr(owner, name)

        async def last(*args: Any, **kwargs: Any) -> Any:
            result = await whole(*args, **kwargs)
            if result and self._due():
                die()
            return result

        replace(owner, name, last)

    def _rebalance_before_a_recovery(self) -> None:
        seek = Recovery._seek_offsets

        async def seek_and_rejoin(recovery: Any, consumer: Any, *args: Any) -> None:
            await seek(recovery, consumer, *args)
            if self._due():
                self._left = sys.maxsize  # once
                log.warning("Rejoining while a recovery begins")
                gate = consumer.gate
                await consumer._thread.call_thread(consumer._thread.rejoin)
                while consumer.gate == gate:  # until partitions are revoked
                    await asyncio.sleep(0)

        replace(Recovery, "_seek_offsets", seek_and_rejoin)

    def _freeze_with_news(self) -> None:
        news = Publisher.news

        def last_news(publisher: Any, *args: Any) -> Any:
            found = news(publisher, *args)
            if found and self._due():
                self._left = sys.maxsize  # once
                os.kill(os.getpid(), signal.SIGSTOP)
            return found

        replace(Publisher, "news", last_news)

    def _end_at_an_alert(self) -> None:
        send = SureTopic.send

        async def last_send(topic: Any, *args: Any) -> bool:
            last, done = self._due(), False
            if self._fate.changelog or not last:
                done = await send(topic, *args)
            if last:
                die()
            return done

        replace(SureTopic, "send", last_send)

    def _end_in_a_flush(self) -> None:
        self._filter_writes()
        if self._fate.where == "totals":
            merge = Totals.merge

            async def last_merge(table: Any, *args: Any) -> None:
                await self._flush(table, merge(table, *args))

            replace(Totals, "merge", last_merge)
            return
        owner: Any = WRITE_BEHIND[self._fate.where]
        write = owner.write_gathered

        async def last_write(table: Any, partitions: Any) -> None:
            if getattr(table, "dirty_rows", True):
                await self._flush(table, write(table, partitions))
            else:
                await write(table, partitions)

        replace(owner, "write_gathered", last_write)

    async def _flush(self, table: Any, flush: Any) -> None:
        if self._table is not None or not self._due():
            await flush
            return
        self._table = table
        await flush
        if self._fate.lingers:
            asyncio.get_running_loop().call_later(LINGER_S, die)
        else:
            await asyncio.gather(*table.in_flight())
            die()

    def _filter_writes(self) -> None:
        """In the last flush, let through only what the fate says."""
        send, db, fate = BatchTable.send, BatchTable.db, self._fate

        async def send_some(
            table: Any, source: int, topic: str, partition: int, records: Any, *, own: bool = False
        ) -> None:
            if table is self._table:
                arrives = fate.changelog if own else self._rng.random() < fate.counts
                if fate.lingers:
                    never = asyncio.get_running_loop().create_future()
                    table._pending[source].append((never, 1, False))
                if fate.lingers or not arrives:
                    return
            await send(table, source, topic, partition, records, own=own)

        def db_or_nothing(table: Any, partition: int) -> Any:
            found = db(table, partition)
            return ReadOnly(found) if table is self._table and not fate.rocksdb else found

        replace(BatchTable, "send", send_some)
        replace(BatchTable, "db", db_or_nothing)


class ReadOnly:
    """A RocksDB that takes no writes."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def write(self, _changes: Any) -> None:
        """Nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def forget_replays() -> None:
    """Take out the rule that rows met again in a replay are sent again."""
    absorb = Partials.absorb

    def forgetful_absorb(table: Any, partition: int, first: int, last: int, fold: Any) -> None:
        rows = fold(first - 1, last)
        dirty = table.dirty[partition]
        waiting = set(dirty)
        cache = table.load(partition, rows)
        before = {row: dict(cache[row].cells) for row in rows}
        absorb(table, partition, first, last, fold)
        same = {row for row, cells in before.items() if cache[row].cells == cells}
        dirty -= same - waiting

    replace(Partials, "absorb", forgetful_absorb)


def replace(owner: type, name: str, function: Any) -> None:
    """Put a function in the place of a method."""
    setattr(owner, name, function)


def die() -> None:
    """Kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if text := os.environ.pop("DYING_WORKER_FATE", ""):
        Dying(Fate(**json.loads(text))).prepare()
    sys.argv[1:] = ["worker", "--role", sys.argv[1]]
    cli.main()
