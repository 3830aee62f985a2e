"""A Kafka of one's own, to be frozen and killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.stack.kafka import Kafka


class MortalKafka:
    """A broker and what can happen to it; address stays the same over its deaths."""

    def __init__(self, folder: Path) -> None:
        self._part = Kafka(folder / "kafka", folder / "kafka.log")

    @property
    def address(self) -> str:
        """host:port."""
        return self._part.address

    async def start(self) -> None:
        """Start it, or start it again; returns when clients can use it."""
        await self._part.start()

    async def stop(self) -> None:
        """Stop it as an operator would."""
        await self._part.stop()

    def kill(self) -> None:
        """Kill it with -9."""
        self._part.child.kill()

    def ended_with(self) -> str:
        """Return its last words where it ended by itself; empty: it runs, or was killed."""
        child = self._part.child
        return "" if child.exit_code() in (None, -signal.SIGKILL) else child.last_words(8)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold it still: connections stay open and nothing answers."""
        pid = self._part.child.pid
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)  # until then threads may still answer
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def mortal_kafka(folder: Path) -> Iterator[MortalKafka]:
    """Start a broker for a module's tests."""
    broker = MortalKafka(folder)
    asyncio.run(broker.start())
    yield broker
    asyncio.run(broker.stop())
