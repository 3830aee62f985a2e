"""A stock Faust table that is restored from its changelog; says when it is ready."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import mode.loop

mode.loop.use("uvloop")

import faust  # noqa: E402 - the loop comes before Faust

from bench.support.peer import given, say  # noqa: E402


def build(kafka: str, source: str, group: str, partitions: int, folder: str) -> Any:
    """Return the app."""
    app = faust.App(
        group,
        broker=f"kafka://{kafka}",
        store="rocksdb://",
        datadir=folder,
        topic_partitions=partitions,
        topic_replication_factor=1,
        web_enabled=False,
    )
    events = app.topic(source, partitions=partitions)
    table = app.Table("counts", default=int, partitions=partitions)

    @app.agent(events)
    async def count(stream: Any) -> None:
        async for event in stream:
            table[event["url"]] += 1

    @app.on_rebalance_complete.connect
    async def tell(*_args: Any, **_kwargs: Any) -> None:
        say(ready=time.time(), rows=sum(1 for _ in table))

    return app


if __name__ == "__main__":
    facts = given()
    Path(facts["folder"]).mkdir(parents=True, exist_ok=True)
    app = build(**facts)
    sys.argv = ["faust", "worker", "--without-web", "-l", "WARN"]
    app.finalize()
    faust.Worker(
        app, loglevel="WARN", quiet=True, redirect_stdouts=False
    ).execute_from_commandline()
