"""What a worker hears from Kafka: that it is a member of its group, and how many partitions it has.

Its figures are as old as the last word about the first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic, time
from typing import Any

from aiokafka.errors import NoError, RebalanceInProgressError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

# A member goes on sending heartbeats while others join.
KNOWN = (NoError.errno, RebalanceInProgressError.errno)

Send = Callable[..., Awaitable[Any]]


class Contact:
    """Of one worker; heard() is called in its consumer thread."""

    def __init__(
        self,
        silent_after_s: float = inf,
        stale_max_s: float = inf,
        reads: tuple[str, int] | None = None,
    ) -> None:
        """silent_after_s: without a word its partitions may have moved.

        stale_max_s: then its figures are too old. reads: a topic, and how many partitions of it.
        """
        self._silent_after_s, self.stale_max_s = silent_after_s, stale_max_s
        self._reads = reads
        self._heard_at = monotonic()
        self._cluster: Any = None

    def attach(self, client: Any) -> None:
        """Listen to an AIOKafkaClient from now on."""
        client.send, self._cluster = listening(client.send, self.heard), client.cluster

    @property
    def brokers(self) -> set[tuple[str, int]]:
        """Host and port of the brokers that the client knows of."""
        known = () if self._cluster is None else self._cluster.brokers()
        return {(broker.host, broker.port) for broker in known}

    def heard(self, asked_at: float) -> None:
        """Note that the coordinator said that we are a member.

        asked_at: monotonic s; the answer may be as old, where we were frozen before we read it.
        """
        self._heard_at = asked_at

    @property
    def silent_since_s(self) -> float | None:
        """The time of the last word, s since 1970, where it is too long ago; else None."""
        silent_s = self._silent_s
        return time() - silent_s if silent_s > self._silent_after_s else None

    @property
    def problem(self) -> str:
        """What is wrong, for GET /ready; empty: nothing."""
        silent_s = self._silent_s
        return (
            f"nothing heard from Kafka for {silent_s:.0f} s"
            if silent_s > self._silent_after_s
            else ""
        )

    @property
    def unread(self) -> str:
        """What is wrong where the topic has more partitions; empty: nothing, as far as is known.

        The client asks Kafka every five minutes.
        """
        if self._reads is None or self._cluster is None:
            return ""
        topic, partitions = self._reads
        there = len(self._cluster.partitions_for_topic(topic) or ())
        if there <= partitions:
            return ""
        return (
            f"{topic} has {there} partitions, and workers read {partitions}: stop all workers, set "
            f"EVENT_COUNTER_EVENTS_PARTITIONS={there} and type event-counter grow"
        )

    @property
    def _silent_s(self) -> float:
        return monotonic() - self._heard_at


def listening(send: Send, heard: Callable[[float], None]) -> Send:
    """Return send of an AIOKafkaClient that tells heard() when the coordinator knows us.

    The client's own heartbeats and joins say so already. A question of ours would wait behind a
    join on the same connection for as long as others take to join.
    """

    async def send_and_listen(node_id: int, request: Any, **options: Any) -> Any:
        asked_at = monotonic()
        response = await send(node_id, request, **options)
        if isinstance(request, (HeartbeatRequest, SyncGroupRequest)) and (
            response.error_code in KNOWN
        ):
            heard(asked_at)
        return response

    return send_and_listen
