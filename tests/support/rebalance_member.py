"""A Faust app of one batch topic that writes down what it acknowledges.

`python -m tests.support.rebalance_member FILE KAFKA TOPIC NAME SEED SESSION_S`. A line of FILE per
batch, written before the acknowledgement as the effects of a real agent are: a Delivered in JSON.
NAME: static membership; `-` for none.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import mode.loop

mode.loop.use("uvloop")

import faust  # noqa: E402 - the loop comes before Faust

from app.transport import BatchTransport, PromptTableManager, batch_scheduler  # noqa: E402

MOST_RECORDS = 10  # of a fetch: many small batches, and never all done
SLOW_S = 0.04  # the longest that a batch takes


@dataclass(frozen=True)
class Delivered:
    """One batch as an agent saw it; at: s of the machine's monotonic clock."""

    partition: int
    before: int
    after: int
    first: int
    last: int
    count: int
    at: float


def read_delivered(file: Path) -> list[Delivered]:
    """Return what a member wrote; a last line that was cut off was not acknowledged."""
    lines = file.read_text("ascii").split("\n")[:-1] if file.exists() else []
    return [Delivered(**json.loads(line)) for line in lines]


def create_app(file: Path, kafka: str, topic: str, name: str, seed: int, session_s: int) -> Any:
    """Return the app."""
    options: dict[str, Any] = {} if name == "-" else {"consumer_group_instance_id": name}
    app = faust.App(
        f"{topic}-group",
        broker=f"kafka://{kafka}",
        datadir=str(file.with_suffix("")),
        ConsumerScheduler=batch_scheduler({topic}),
        TableManager=PromptTableManager,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=MOST_RECORDS,
        broker_commit_interval=0.2,
        broker_session_timeout=session_s,
        broker_heartbeat_interval=1,
        stream_buffer_maxsize=4,
        stream_wait_empty=True,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        **options,
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    write_down(app, topic, file, seed)
    return app


def write_down(app: Any, topic: str, file: Path, seed: int) -> None:
    """Add the agent that writes each batch to the file before it acknowledges."""
    rng, out = random.Random(seed), os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @app.agent(app.topic(topic, value_serializer="raw", maxsize=4), name="write_down")
    async def written(stream: Any) -> Any:
        stream = stream.noack()
        async for event in stream.events():
            batch = event.value
            await asyncio.sleep(rng.random() * SLOW_S)
            found = Delivered(
                batch[0].partition,
                batch.before,
                batch.after,
                batch[0].offset,
                batch[-1].offset,
                len(batch),
                monotonic(),
            )
            os.write(out, json.dumps(asdict(found)).encode() + b"\n")
            await stream.ack(event)
            yield len(batch)


if __name__ == "__main__":
    to, kafka, topic, name, seed, session_s = sys.argv[1:]
    faust.Worker(
        create_app(Path(to), kafka, topic, name, int(seed), int(session_s)),
        loglevel="INFO",
        quiet=True,
        redirect_stdouts=False,
    ).execute_from_commandline()
