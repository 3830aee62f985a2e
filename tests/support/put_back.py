"""A store whose folder is put back as it was before, while all others stay as they are."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aiokafka import ConsumerRecord

from app.stack.parts import LocalServer
from tests.support.kafka_client import KafkaClient
from tests.support.ledger import Ledger, Truth, truth_of


class Store:
    """What can be stopped, copied and put back. server: it has one; else its folders alone."""

    def __init__(self, folders: Sequence[Path], server: LocalServer | None = None) -> None:
        self._folders, self._server = folders, server

    async def halt(self, rng: random.Random) -> None:
        """Stop its server as an operator would, or kill it with -9."""
        if self._server is None:
            return
        if rng.random() < 0.5:
            await self._server.stop()
        else:
            self._server.child.kill()

    async def begin(self) -> None:
        """Start its server again."""
        if self._server is not None:
            await self._server.start()

    def copy(self) -> None:
        """Take a snapshot of what stands still."""
        for folder in self._folders:
            shutil.copytree(folder, _copy_of(folder), symlinks=True)

    def put_back(self) -> None:
        """Let it be as the snapshot."""
        for folder in self._folders:
            shutil.rmtree(folder)
            _copy_of(folder).rename(folder)


def _copy_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.then")


class OlderKafka(KafkaClient):
    """Reads what Kafka has now and, once remember() was called, what it had until then, too."""

    def __init__(self, address: str, sent_again: Iterable[str]) -> None:
        """sent_again: topics whose lost records are sent again, under their keys."""
        super().__init__(address)
        self._sent_again = frozenset(sent_again)
        self._before: dict[str, list[ConsumerRecord]] = {}
        self._kept: dict[str, dict[int, int]] = {}

    async def note_ends(self, topics: Iterable[str]) -> None:
        """Call it where the snapshot is taken."""
        self._kept = {topic: await self.ends(topic) for topic in topics}

    def kept(self, topic: str) -> dict[int, int]:
        """Return the ends of a topic in the snapshot, by partition."""
        return self._kept[topic]

    async def remember(self) -> None:
        """Call it right before the snapshot is put back."""
        self._before = {topic: await self.read(topic) for topic in self._kept}

    async def read(self, topic: str) -> list[ConsumerRecord]:
        """As KafkaClient; what is lost comes before what has its offset now."""
        found = await super().read(topic)
        if topic not in self._before:
            return found
        kept = self._kept[topic]
        new = [record for record in found if record.offset >= kept[record.partition]]
        again = {record.key for record in new} if topic in self._sent_again else set()
        both = [record for record in self._before[topic] if record.key not in again] + new
        return sorted(both, key=lambda record: record.partition)


class Gap:
    """Records of `events` that somebody had not read when Kafka lost them.

    positions: up to where it had read; ends: of what was acknowledged, by partition.
    """

    def __init__(self, positions: Mapping[int, int], ends: Mapping[int, int]) -> None:
        spans = {part: range(positions.get(part, 0), end) for part, end in ends.items()}
        self.sizes = {part: len(span) for part, span in spans.items() if span}
        self._places = {(part, offset) for part, span in spans.items() for offset in span}

    def truth(self, ledger: Ledger, records: Iterable[ConsumerRecord]) -> Truth:
        """Return what the others add up to."""
        if not self.sizes:
            return truth_of(ledger, records)
        left = [r for r in records if (r.partition, r.offset) not in self._places]
        return truth_of(replace(ledger, acknowledged=set()), left)


NOTHING = Gap({}, {})
