"""How fast one store worker writes a backlog from Kafka into Postgres.

Against asyncpg's COPY of the same rows, made beforehand, into the same table: the limit.
"""

from __future__ import annotations

import argparse
import asyncio

import asyncpg

from app.names import Names
from app.settings import Settings
from bench.support.backlog import Mix, fill
from bench.support.peer import running
from bench.support.results import Report, options
from bench.support.stack import Stack
from bench.support.watch import Offsets

STORED = "select coalesce(sum(stored), 0)::bigint from sink_offsets"


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._stack, self._report = stack, report
        self._mix = Mix(chosen.events, 1000, chosen.seed)

    async def repeat(self) -> None:
        """Measure both once, one after the other."""
        settings = await self._stack.settings()
        topic = Names(settings.namespace).events
        await fill(settings.kafka, topic, settings.events_partitions, self._mix)
        limit = await self._copy(settings)
        product = await self._store(settings)
        self._report.check("store worker / COPY", product / limit, at_least=0.5)
        await self._stack.clear(settings)

    async def _store(self, settings: Settings) -> float:
        """Return rows per second, from ready until the offsets are committed."""
        names, dsn = Names(settings.namespace), settings.postgres.get_secret_value()
        async with (
            Offsets(self._stack.admin, settings.kafka, names.store_group, names.events) as offsets,
            self._stack.worker(settings, "store", ready=False) as worker,
        ):
            ready = await worker.ready_at(60)
            connection = await asyncpg.connect(dsn)
            before, used = await connection.fetchval(STORED), worker.cpu_s()
            committed = await offsets.all_committed()
            if (stored := await connection.fetchval(STORED)) != self._mix.events:
                raise SystemExit(f"{stored} rows stored of {self._mix.events}")
            await connection.close()
            used = (worker.cpu_s() - used) / (stored - before) * 1e6
            self._report.figure("store worker: CPU", used, "us/row")
            self._report.figure("store worker: memory at the end", worker.memory_mb(), "MB")
        rate = (stored - before) / (committed - ready)
        return self._report.figure("store worker: Kafka to Postgres", rate, "rows/s")

    async def _copy(self, settings: Settings) -> float:
        dsn = await self._stack.database()
        given = {
            "kafka": settings.kafka,
            "topic": Names(settings.namespace).events,
            "partitions": settings.events_partitions,
            "events": self._mix.events,
            "dsn": dsn,
        }
        log = self._stack.folder / "logs" / "copy.log"
        async with running("bench.peers.copy_rows", log, given=given) as peer:
            found = await peer.says()
        await self._stack.drop(dsn)
        if found["stored"] != self._mix.events:
            raise SystemExit(f"{found['stored']} rows copied of {self._mix.events}")
        rate = self._mix.events / found["integers"]
        self._report.figure("COPY: the same, times sent as integers", rate, "rows/s")
        rate = self._mix.events / found["seconds"]
        return self._report.figure("COPY: asyncpg, rows made beforehand", rate, "rows/s")


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.events, chosen.repeats = 300_000, 1
    report = Report("store", chosen)
    async with Stack("postgres") as stack:
        bench = Bench(stack, report, chosen)
        for _ in report.repeats():
            await bench.repeat()
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
