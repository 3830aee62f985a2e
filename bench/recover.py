"""How fast tables are restored whose disk is gone, in rows per second.

The product: a count worker's data directory is deleted after it counted a million keys; both of its
tables come back from their changelogs. Beside it a stock Faust table of fewer keys. From each time
the start with an intact disk is taken off: what is left is the restoring.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import time
from pathlib import Path

from aiokafka.admin import NewTopic

from app.names import Names
from bench.support.backlog import Mix, Writer, fill, url
from bench.support.peer import running
from bench.support.results import Report, options
from bench.support.stack import Stack
from bench.support.watch import Counted, Offsets

TABLES = 2  # partials and totals: each has a row per key, and few others


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._stack, self._report, self._chosen = stack, report, chosen

    async def product(self) -> None:
        """Fill the tables once, then delete and restore them again and again."""
        settings = await self._stack.settings()
        names, mix = Names(settings.namespace), Mix(self._chosen.keys, 0, self._chosen.seed)
        await fill(settings.kafka, names.events, settings.events_partitions, mix)
        async with (
            Offsets(self._stack.admin, settings.kafka, names.count_group, names.events) as offsets,
            Offsets(self._stack.admin, settings.kafka, names.count_group, names.counts) as merged,
            self._stack.worker(settings, "count") as worker,
            Counted(worker.url) as counted,
        ):
            await offsets.all_committed()
            await merged.all_committed()
            await counted.complete(mix.events, mix.expected())
        self._settings, self._mix = settings, mix

    async def repeat(self) -> None:
        """Restore both once."""
        intact = await self._start(wipe=False)
        wiped = await self._start(wipe=True)
        self._report.figure("count worker: start with its disk", intact, "s")
        self._report.figure("count worker: start without its disk", wiped, "s")
        if wiped <= intact:
            raise SystemExit("too few keys: the start alone varies more than the restoring takes")
        keys, rows = self._chosen.keys, self._chosen.keys * TABLES
        product = rows / (wiped - intact)
        self._report.figure(f"count worker: {keys:,} keys, {rows:,} rows", product, "rows/s")
        stock = await self._stock()
        self._report.check("count worker / stock table", product / stock, at_least=20)

    async def _start(self, *, wipe: bool) -> float:
        """Return the seconds that a start takes until the worker is ready and right."""
        folder = self._settings.data_dir / "count-1"
        if wipe:
            shutil.rmtree(folder)
        began = asyncio.get_running_loop().time()
        async with (
            self._stack.worker(self._settings, "count", ready=False) as worker,
            Counted(worker.url) as counted,
        ):
            ready = await worker.ready_at(600)
            await counted.complete(self._mix.events, self._mix.expected())
        return ready - began

    async def _stock(self) -> float:
        """Return rows per second of a stock table."""
        settings = await self._stack.settings()
        names, keys = Names(settings.namespace), self._chosen.stock_keys
        group, partitions = f"{settings.namespace}stock", settings.events_partitions
        changelog = f"{group}-counts-changelog"
        compact = {"cleanup.policy": "compact"}
        topic = NewTopic(changelog, partitions, 1, topic_configs=compact)
        await self._stack.admin.create_topics([topic])
        async with Writer(settings.kafka, changelog, partitions) as writer:
            await writer.write_records((json.dumps(url(n)).encode(), b"1") for n in range(keys))
        given = {
            "kafka": settings.kafka,
            "source": names.events,
            "group": group,
            "partitions": partitions,
            "folder": str(settings.data_dir / "stock"),
        }
        seconds = {}
        for disk in ("gone", "intact"):
            seconds[disk] = await self._stock_start(given, keys)
        await self._stack.clear(settings)
        await self._stack.admin.delete_topics([changelog])
        rate = keys / (seconds["gone"] - seconds["intact"])
        return self._report.figure(f"stock Faust table: {keys:,} keys", rate, "rows/s")

    async def _stock_start(self, given: dict[str, object], keys: int) -> float:
        log: Path = self._stack.folder / "logs" / "stock.log"
        began = time.time()
        async with running("bench.peers.stock_table", log, given=given) as peer:
            found = await peer.says()
        if found["rows"] != keys:
            raise SystemExit(f"the stock table has {found['rows']} rows of {keys}")
        return float(found["ready"]) - began


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--stock-keys", type=int, default=50_000)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.keys, chosen.stock_keys, chosen.repeats = 300_000, 10_000, 1
    report = Report("recover", chosen)
    report.note("Statistics are off: the four counters alone; bench.statistics has the others.")
    async with Stack() as stack:
        bench = Bench(stack, report, chosen)
        await bench.product()
        for _ in report.repeats():
            await bench.repeat()
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
