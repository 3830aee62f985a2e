"""`event-counter rebuild tables` and `audit` as processes, beside the workers of a crew."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from app.counting.row_keys import SOURCE
from app.kafka.table_topics import versions_in
from app.names import Names
from app.settings import Settings
from tests.support.crew import ROOT
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

NOBODY = 900  # a source partition that does not exist


class Command:
    """A process of the command line."""

    def __init__(self, settings: Settings, urls: list[str], output: Path, *arguments: str) -> None:
        """urls: of count workers."""
        given = settings.model_copy(update={"count_urls": ",".join(urls)})
        self._output = output
        with output.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", *arguments],
                env={**os.environ, **given.to_env(), "PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    async def done(self, deadline_s: float = 120) -> tuple[int, str]:
        """Return exit code and output."""
        await wait_until(
            self._process.poll, lambda code: code is not None, deadline_s=deadline_s, every_s=0.1
        )
        return self._process.returncode, self.said()

    def said(self) -> str:
        """Return the output so far."""
        return self._output.read_text("utf-8")

    async def kill(self) -> None:
        """Kill -9."""
        assert self._process.poll() is None, self.said()
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)


async def count_too_much(kafka: KafkaClient, names: Names, number: int) -> None:
    """Let the tables hold more than there was, in each row of a counter: only new ones mend it."""
    last = {
        (record.partition, record.key[:-2] + SOURCE.pack(NOBODY)): record.value
        for record in await kafka.read(names.counts)
        if record.key[0] == number and record.value
    }
    await asyncio.gather(
        *(kafka.send(names.counts, [row], part, key=key) for (part, key), row in last.items())
    )


async def versions(kafka: KafkaClient, namespace: str) -> list[int]:
    """Return the versions of tables that have topics."""
    return sorted(versions_in(await kafka.topics(), namespace))
