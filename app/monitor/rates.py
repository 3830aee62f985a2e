"""Events per second, from nothing but Kafka's offsets sampled once a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.errors import UnavailableError, reason
from app.kafka.clients import KafkaClients
from app.kafka.offsets import ANSWER_S, KafkaOffsets, KafkaSnapshot
from app.kafka.tables_version import FIRST, TablesVersion
from app.lasting import Lasting
from app.names import Names
from app.settings import Settings

INTERVAL_S = 1.0
WINDOW_S = 10
STALE_S = 5.0  # without a sample: then the last figures say nothing about now
HISTORY = 60  # samples

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """Sums of offsets at one moment; at: seconds of a clock that only goes on.

    waiting: {(group, topic-partition): records of `events` that the group has not committed}.
    """

    at: float
    received: int
    counted: int
    stored: int
    rejected: int
    waiting: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Rates:
    """Events per second over the last WINDOW_S, and what each group has still to read.

    time: seconds since 1970. counted: what role count is done with and has not rejected, bots
    too. waiting: as in Sample.
    """

    time: float
    received: float
    counted: float
    stored: float
    rejected: float
    waiting: dict[tuple[str, str], int]

    @property
    def lag(self) -> dict[str, int]:
        """{group: records of `events` that it has not committed}."""
        lag: dict[str, int] = {}
        for (group, _), records in self.waiting.items():
            lag[group] = lag.get(group, 0) + records
        return lag

    def as_dict(self) -> dict[str, Any]:
        """Return the answer of /stats/rates."""
        return {
            "window_s": WINDOW_S,
            "received": self.received,
            "counted": self.counted,
            "stored": self.stored,
            "rejected": self.rejected,
            "lag": self.lag,
        }


def sample_of(look: KafkaSnapshot, names: Names, at: float) -> Sample:
    """Return the sums of one look at Kafka."""

    def ends(topic: str) -> int:
        return sum(end for part, end in look.ends.items() if part.topic == topic)

    done = {group: sum(offsets.values()) for group, offsets in look.done.items()}
    waiting = {
        (group, f"{part.topic}-{part.partition}"): max(0, look.ends[part] - offset)
        for group, offsets in look.done.items()
        for part, offset in offsets.items()
    }
    return Sample(
        at,
        received=ends(names.events),
        counted=done[names.count_group],
        stored=done[names.store_group],
        rejected=ends(names.rejected),
        waiting=waiting,
    )


def rates_between(before: Sample, after: Sample, now: float) -> Rates:
    """Return what happened per second from one sample to another; now: seconds since 1970."""
    seconds = after.at - before.at

    def per_second(events: int) -> float:
        return round(max(0, events) / seconds, 1)  # made anew under its name: it begins at 0

    rejected = after.rejected - before.rejected
    return Rates(
        now,
        received=per_second(after.received - before.received),
        counted=per_second(after.counted - before.counted - rejected),
        stored=per_second(after.stored - before.stored),
        rejected=per_second(rejected),
        waiting=after.waiting,
    )


class RateSampler:
    """Samples in the background from start() on, through every outage of Kafka.

    history: the rates of the last minute, one a second, oldest first; a gap where Kafka was away.
    keeper: takes the samples.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.history: deque[Rates] = deque(maxlen=HISTORY)
        self._settings, self._tables, self._version = settings, TablesVersion(settings), FIRST
        self._begin(FIRST)
        self._clock, self._wall = clock, wall
        self._samples: deque[Sample] = deque(maxlen=WINDOW_S + 1)
        self._problem = "not sampled yet"
        self.keeper = Lasting("nothing samples the rates any more")

    def start(self) -> None:
        """Begin to sample."""
        self.keeper.start(self._keep())

    async def close(self) -> None:
        """Disconnect; the next sample connects again."""
        await self._offsets.close()
        await self._tables.close()

    def current(self) -> Rates:
        """Return the rates as of the last sample; raise UnavailableError while there are none."""
        if not (self.history and self._samples) or self._clock() - self._samples[-1].at > STALE_S:
            problem = self._problem or "there is only one sample yet"
            raise UnavailableError(f"no rates right now: {problem}")
        return self.history[-1]

    def _begin(self, version: int) -> None:
        """Look at the count group of a version of the tables."""
        self._version = version
        self._names = names = Names(self._settings.namespace, version)
        groups = (names.count_group, names.store_group, names.archive_group)
        self._offsets = KafkaOffsets(
            KafkaClients.of(self._settings),
            {names.events: self._settings.events_partitions, names.rejected: 1},
            dict.fromkeys(groups, (names.events,)),
        )

    async def _follow(self) -> None:
        """Look at other tables when they count."""
        try:
            async with asyncio.timeout(ANSWER_S):
                version = await self._tables.read()
        except BaseException as exc:
            await self._tables.close()
            if isinstance(exc, TimeoutError):
                raise UnavailableError("Kafka does not answer") from exc
            raise
        if version != self._version:
            await self._offsets.close()
            self._samples.clear()  # the figures of two groups are not of one line
            self._begin(version)

    async def sample(self) -> None:
        """Take one sample; raise UnavailableError where Kafka is away."""
        await self._follow()
        look = await self._offsets.snapshot()
        sample = sample_of(look, self._names, self._clock())
        while self._samples and self._samples[0].at < sample.at - WINDOW_S - INTERVAL_S / 2:
            self._samples.popleft()
        if self._samples:
            self.history.append(rates_between(self._samples[0], sample, self._wall()))
        self._samples.append(sample)

    async def _keep(self) -> None:
        try:
            while True:
                began = self._clock()
                try:
                    await self.sample()
                except Exception as exc:  # noqa: BLE001 - whatever it is, the next may succeed
                    if not self._problem:
                        log.warning("no rates right now: %s", reason(exc))
                    self._problem = reason(exc)
                else:
                    self._problem = ""
                await asyncio.sleep(max(0.0, began + INTERVAL_S - self._clock()))
        finally:
            await self.close()
