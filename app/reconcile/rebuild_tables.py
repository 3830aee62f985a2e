"""The tables, counted anew from event beside those that answer, and a switch at the end.

New tables are a version (app.kafka.tables_version): topics, changelogs and a group of their own.
Until the switch, which is one record in Kafka, nothing that answers has changed; whatever ends
before leaves topics that the next rebuild deletes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic

import asyncpg
from pydantic import SecretStr

from app.counting.registry import PastCounted
from app.errors import RedisUnavailableError, StartError
from app.kafka.counter_log import begin_missing, decide
from app.kafka.table_topics import TableTopics
from app.kafka.tables_version import FIRST, current_version, switch_version, version_of
from app.kafka.topics import ensure_topics
from app.kafka.watermarks import Offsets, Say, Watermarks
from app.names import Names
from app.reconcile.alone import take_lock
from app.reconcile.comparison import Comparison
from app.reconcile.counted import wait_for_counting
from app.reconcile.detached import detached_months, how_to_attach
from app.reconcile.live_scan import LiveScan
from app.reconcile.live_workers import Counted, LiveWorkers
from app.settings import Settings
from app.stack.child import Child
from app.stack.ports import free_port

POLL_S = 0.2
CLOSE_S = 2.0  # a round that took less than this has caught up with what flows
STOP_S = 60.0  # for the last flush and commit
LEAVE_S = 60.0  # for the old count workers to end; fixed names stay for a session timeout
NAME = "rebuild-tables"
POSITIONS = "select partition from summary_positions union select partition from ad_month_positions"


PutBase = Callable[[asyncpg.Connection, int], Awaitable[object]]


@dataclass(frozen=True)
class Rebuilt:
    """events: offsets of `events` that were counted. staying: old workers that did not end."""

    events: int
    version: int
    staying: int


class TablesRebuild:
    """One run. Raises StartError, or KafkaUnavailableError; the old tables answer then."""

    def __init__(
        self, settings: Settings, kafka: Watermarks, topics: TableTopics, say: Say
    ) -> None:
        self._settings, self._kafka, self._topics, self._say = settings, kafka, topics, say
        self._dsn = settings.postgres.get_secret_value()
        self._events = Names(settings.namespace).events
        self._folder = settings.data_dir.absolute() / NAME

    async def run(
        self,
        counted: Counted | None,
        declared: Mapping[str, int | None],
        past_of: int | None = None,
        begin: PutBase | None = None,
    ) -> Rebuilt:
        """Count anew and switch.

        counted: None where no count worker can run. declared: as counted, by the settings of this
        process. past_of: number of a counter of a counters.toml that the new tables, and all after
        them, count from the first event on. begin: writes the base of forgotten months.
        """
        async with Comparison.open(self._dsn, self._events) as sides:
            await take_lock(sides.connection, sides.sql)
            old = await current_version(self._settings)
            workers = LiveWorkers(counted, self._topics, old, self._say)
            live = await workers.answered()
            await self._check(sides, declared if live is None else live, declared)
            # No number twice: topics go slowly, and sinks remember positions by it.
            new = await self._topics.unused(max(old, await self._remembered(sides)))
            await self._topics.delete(set(await self._topics.by_version()) - {old})
            await ensure_topics(self._settings, new)
            if past_of is not None:  # of a version that nobody else counts: we hold the lock
                await decide(self._settings, PastCounted(past_of, new))
            # A live worker that cannot count would never let them begin, and the new one follows.
            await begin_missing(self._settings, new, await self._next(old))
            await self._put_base(sides, new, begin)
            done = await self._count(new)
            if live is not None or await self._topics.members(old):  # one may be back by now
                await self._wait_for_live(workers, old, done)
            # The lock is gone where this connection is, and another run may have begun.
            await sides.connection.execute("select 1")
            await switch_version(self._settings, new)
        staying = await self._end_old(old)
        # While they are there, new tables answer once they hold what the old ones may have.
        if not staying and (live is None or await self._is_followed_by(new)):
            await self._topics.delete([old])
        return Rebuilt(sum(done.values()), new, staying)

    async def _put_base(self, sides: Comparison, version: int, begin: PutBase | None) -> None:
        """Write what forgotten months added up to into the topics of a version."""
        if begin is not None:
            self._say("writing what forgotten months added up to")
            await begin(sides.connection, version)

    async def _next(self, version: int) -> Offsets:
        """Return where count workers of a version would go on with `events`."""
        committed = await self._topics.committed(version, self._events)
        begins = await self._kafka.begins(self._events)
        return {part: max(begin, committed.get(part, 0)) for part, begin in begins.items()}

    async def _check(
        self,
        sides: Comparison,
        live: Mapping[str, int | None],
        declared: Mapping[str, int | None],
    ) -> None:
        """Raise StartError where event cannot say what the tables must, or the settings differ."""
        if live != declared:
            every = {*live, *declared}
            names = sorted(n for n in every if live.get(n, "") != declared.get(n, ""))
            raise StartError(
                f"the count workers have other counters: {', '.join(names)}. Give this command "
                "their settings"
            )
        limit = await sides.connection.fetchval("select bot_limit from bot_rule")
        if limit != (self._settings.bot_limit if self._settings.statistics else None):
            raise StartError(f"the workers have EVENT_COUNTER_BOT_LIMIT={limit}; give it here, too")
        rule = await sides.connection.fetchrow(sides.sql["duplicate_rule.show"])
        if rule and tuple(rule) != (self._settings.dedupe_hours, self._settings.dedupe_uuid):
            raise StartError(
                f"the workers have EVENT_COUNTER_DEDUPE_HOURS={rule[0]} and "
                f"EVENT_COUNTER_DEDUPE_UUID={str(rule[1]).lower()}; give them here, too"
            )
        cluster = await self._kafka.cluster()
        begins = await self._kafka.begins(self._events)
        rows = await sides.connection.fetch(sides.sql["past.stored"], self._events)
        if any(row["cluster"] not in ("", cluster) for row in rows):
            raise StartError("event was stored from another Kafka cluster: its offsets differ")
        stored = {row["partition"]: row["next_offset"] for row in rows}
        if any(stored.get(part, 0) < begin for part, begin in begins.items()):
            raise StartError("Kafka has deleted records that the store has not stored")
        self._say("counting event")
        missing = await sides.connection.fetchval(sides.sql["repair.missing"], self._events)
        if missing:
            attach = how_to_attach(await detached_months(sides.connection, sides.sql))
            raise StartError(
                f"event lacks {missing} of the rows that were stored (or has more, if below 0): "
                f"the tables know more than it does. {attach}"
            )

    async def _remembered(self, sides: Comparison) -> int:
        """Return the highest version that a sink has positions of, perhaps in a former Kafka."""
        keys = [row["partition"] for row in await sides.connection.fetch(POSITIONS)]
        if url := self._settings.redis.get_secret_value():
            async with aclosing(LiveScan(url)) as scan:
                try:
                    keys += await scan.positions()
                except RedisUnavailableError as exc:
                    self._say(f"going on without: {exc}")
        return max(map(version_of, keys), default=FIRST)

    async def _count(self, version: int) -> Offsets:
        """Count all of `events` into the tables of a version; return up to where."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        child = Child(NAME, self._folder, self._folder.parent / "logs" / f"{NAME}.log")
        changes: dict[str, object] = {
            "role": "count",
            "data_dir": self._folder,
            "worker_name": "",
            "worker_port": free_port(),
            "redis": SecretStr(""),
        }
        env = self._settings.model_copy(update=changes).to_env()
        try:
            child.spawn(
                [sys.executable, "-m", "app.cli.past_worker", str(version)], {**os.environ, **env}
            )
            await self._catch_up(child, version)
            await child.stop(STOP_S)
            # With nothing to count it may end before it has begun.
            if (code := child.exit_code()) not in (0, -signal.SIGTERM):
                raise StartError(f"the worker that counts ended with {code}; {child.last_words()}")
        finally:
            child.kill()
            shutil.rmtree(self._folder, ignore_errors=True)
        return await self._topics.committed(version, self._events)

    async def _catch_up(self, child: Child, version: int) -> None:
        """Return once the worker is where `events` was a moment ago, and its rows are merged."""
        took = CLOSE_S
        while took >= CLOSE_S:
            began = monotonic()
            async for behind, topic in self._to_go(version):
                if not child.alive():
                    words = child.last_words()
                    raise StartError(f"the worker that counts has ended; {words}")
                self._say(f"counting anew: {behind} records of {topic} to go")
            took = monotonic() - began

    async def _wait_for_live(self, workers: LiveWorkers, version: int, done: Offsets) -> None:
        """Return once what answers has counted, announced and rejected all that is new."""
        names = Names(self._settings.namespace, version)
        await wait_for_counting(self._kafka, names, done, workers.committed)

    async def _end_old(self, version: int) -> int:
        """Return once nobody counts into the tables of a version, or who does still."""
        until = monotonic() + LEAVE_S
        while staying := await self._topics.members(version):
            if monotonic() > until:
                return staying
            self._say(f"waiting for {staying} count workers to end, and to start with the new ones")
            await asyncio.sleep(POLL_S)
        return 0

    async def _is_followed_by(self, version: int) -> bool:
        """Return once the tables of a version hold, for good, all of `events` by now; or False."""
        until = monotonic() + LEAVE_S
        async for behind, topic in self._to_go(version):
            if monotonic() > until:
                self._say("the count workers lag: the next rebuild deletes the old topics")
                return False
            self._say(f"waiting for the count workers: {behind} records of {topic} to go")
        return True

    async def _to_go(self, version: int) -> AsyncIterator[tuple[int, str]]:
        """Yield how many records of a topic are to go, until a version holds, for good, all by now.

        First `events`, then, each up to its own end, what its rows are merged from.
        """
        names = Names(self._settings.namespace, version)
        merged = [names.counts, *([names.uniques] if self._settings.statistics else [])]
        for topic in (self._events, *merged):
            ends = await self._kafka.ends(topic)
            while behind := _behind(await self._topics.committed(version, topic), ends):
                yield behind, topic
                await asyncio.sleep(POLL_S)


def _behind(done: Offsets, ends: Offsets) -> int:
    return sum(max(0, end - done.get(part, 0)) for part, end in ends.items())
