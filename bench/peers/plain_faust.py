"""A plain Faust agent: one event at a time, one tumbling table in RocksDB, one counter.

It counts per source partition; right totals of unkeyed events would need group_by on top.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import mode.loop

mode.loop.use("uvloop")

import faust  # noqa: E402 - the loop comes before Faust

from bench.support.peer import given, say  # noqa: E402


class Event(faust.Record):
    """What is counted of an event."""

    url: str
    type: str
    timestamp: str


def build(kafka: str, topic: str, group: str, partitions: int, folder: str) -> Any:
    """Return the app; its agent says when it begins."""
    app = faust.App(
        group,
        broker=f"kafka://{kafka}",
        store="rocksdb://",
        datadir=folder,
        topic_partitions=partitions,
        topic_replication_factor=1,
        broker_commit_interval=1.0,
        stream_wait_empty=False,
        web_enabled=False,
    )
    events = app.topic(topic, value_type=Event, partitions=partitions)
    table = app.Table("events_by_url", default=int, partitions=partitions)
    counts = table.tumbling(timedelta(hours=1), expires=timedelta(hours=2))

    @app.agent(events)
    async def count(stream: Any) -> AsyncIterator[None]:
        first = True
        async for event in stream:
            if first:
                first = False
                say(began=time.time())
            counts[f"{event.url}|{event.type}"] += 1
            yield

    return app


if __name__ == "__main__":
    facts = given()
    os.makedirs(facts["folder"], exist_ok=True)  # noqa: PTH103
    app = build(**facts)
    sys.argv = ["faust", "worker", "--without-web", "-l", "WARN"]
    app.finalize()
    faust.Worker(
        app, loglevel="WARN", quiet=True, redirect_stdouts=False
    ).execute_from_commandline()
