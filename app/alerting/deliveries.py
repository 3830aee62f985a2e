"""Alerts on their way to a webhook: in the order of each partition, until they arrive."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from app import metrics
from app.alerting.alerts import is_alert
from app.alerting.delivered import AlertsDone
from app.alerting.webhook import Outcome, Webhook, pause_s
from app.kafka.strange import leave_out

GIVE_UP_S = 24 * 3600.0  # after an alert was raised
IDLE_S = 3600.0
ATTEMPT_S = 5.0  # then the consumer is polled: one that is not for 300 s leaves its group
REMEMBERED = 1000  # alerts of a partition that were delivered; one that is repeated follows soon

log = logging.getLogger(__name__)

ReadOn = Callable[[Collection[TopicPartition]], Awaitable[Mapping[TopicPartition, AlertsDone]]]


@dataclass
class _Line:
    """What waits in one partition; only its first is being delivered."""

    records: deque[Any] = field(default_factory=deque)
    failures: int = 0
    due: float = 0.0  # clock


class Deliveries(ConsumerRebalanceListener):
    """Partitions that wait are paused, so that no more than a fetch of each is in memory."""

    def __init__(
        self,
        consumer: Any,
        webhook: Webhook,
        read_on: ReadOn,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """consumer: of the group; its listener is this object. read_on: see delivered.py."""
        self._consumer, self._webhook, self._clock = consumer, webhook, clock
        self._lines: dict[TopicPartition, _Line] = {}
        self._done: defaultdict[TopicPartition, deque[bytes]] = defaultdict(
            lambda: deque(maxlen=REMEMBERED)
        )
        self._read_on = read_on
        self._newest: defaultdict[TopicPartition, int] = defaultdict(int)  # ms, of what is done
        self._unsettled: set[TopicPartition] = set()
        self._changes = 0  # of what is assigned
        self._has_none = False  # as it was assigned; not before that
        self._outage = webhook.outage

    def add(self, found: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Take what was fetched, but for what is read again from another position."""
        for part, records in found.items():
            if part in self._unsettled:
                continue
            self._lines.setdefault(part, _Line()).records.extend(records)
            self._consumer.pause(part)

    def next_due_s(self) -> float:
        """Return the seconds until the next attempt; never below 0."""
        due = [line.due for line in self._lines.values()]
        return max(0.0, min(due) - self._clock()) if due else IDLE_S

    async def attempt(self) -> None:
        """Deliver what is due now, the partitions side by side, for ATTEMPT_S and one call."""
        now = self._clock()
        due = [part for part, line in self._lines.items() if line.due <= now]
        until = now + ATTEMPT_S
        await asyncio.gather(*(self._attempt(part, self._lines[part], until) for part in due))

    async def _attempt(self, part: TopicPartition, line: _Line, until: float) -> None:
        """Deliver from the head of a line until one fails, or it is late; until: clock."""
        while line.records and self._lines.get(part) is line:
            if self._clock() > until:
                return
            record = line.records[0]
            done = self._done[part]
            outcome = None
            if not is_alert(record.value):
                leave_out([(record, ValueError("no alert"))])
            elif record.key not in done:
                outcome = await self._deliver(record)
            if outcome is not None and not outcome.taken and not outcome.refused:
                line.failures += 1
                line.due = self._clock() + pause_s(line.failures, outcome.retry_after_s)
                return
            line.records.popleft()
            if record.key:
                done.append(record.key)
            line.failures, line.due = 0, 0.0
            self._newest[part] = max(record.timestamp, self._newest[part])
            await self._commit(part, record.offset + 1)
        if self._lines.pop(part, None) is line and part in self._consumer.assignment():
            self._consumer.resume(part)

    async def _deliver(self, record: Any) -> Outcome | None:
        """Return what became of it; None where it is too old to be sent."""
        if time() - record.timestamp / 1000 > GIVE_UP_S:
            log.warning(
                "webhook: gave up on an alert after %.0f h: %s", GIVE_UP_S / 3600, record.key
            )
            metrics.webhook_alerts.labels("given_up").inc()
            return None
        outcome = await self._webhook.call(record.key or b"", record.value or b"")
        if outcome.taken:
            self._outage.ends()
            metrics.webhook_alerts.labels("delivered").inc()
        elif outcome.refused:
            self._outage.ends()
            log.warning("webhook: %s, not sent again: %s", outcome.reason, record.key)
            metrics.webhook_alerts.labels("refused").inc()
        else:
            self._outage.goes_on(outcome.reason)
            metrics.webhook_failures.inc()
        return outcome

    async def _commit(self, part: TopicPartition, offset: int) -> None:
        try:
            await self._consumer.commit({part: (offset, str(self._newest[part]))})
        except (CommitFailedError, IllegalStateError) as exc:  # its next owner sends it again
            log.info("webhook: offset %d of %s is not committed: %r", offset, part, exc)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Forget what waits there: the next owner reads it again."""
        self._changes += 1
        for part in revoked:
            self._unsettled.discard(part)
            self._lines.pop(part, None)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Note that it is to be asked from where on they are read, but not here.

        The consumer tells its group that it is alive only once this has returned.
        """
        self._unsettled.update(assigned)
        self._has_none = not assigned
        self._changes += 1

    def start_over(self) -> None:
        """Ask again from where on each partition is read."""
        parts = self._consumer.assignment()
        self.on_partitions_revoked(parts)
        for part in parts:
            self._consumer.resume(part)
        self.on_partitions_assigned(parts)

    async def settle(self) -> None:
        """Read each partition that is new on behind what was delivered.

        Raises KafkaError or OSError.
        """
        while self._unsettled:
            changes = self._changes
            found = await self._read_on(self._unsettled.copy())
            if self._changes != changes:  # another member may have delivered more meanwhile
                continue
            for part, done in found.items():
                self._newest[part] = done.newest
                self._consumer.seek(part, done.offset)
            self._unsettled.clear()
        if self._has_none:  # and no attempt is on its way
            self._outage.leaves()
