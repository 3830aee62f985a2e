"""Which partitions of a batch topic this worker has, and which worker has the others."""

from __future__ import annotations

from typing import Any

from faust.types import TP

from app.errors import RecoveringError


class Ownership:
    """Partitions of one batch topic, as the consumer and the assignor see them.

    table: name of the Faust table that is partitioned as the topic.
    """

    def __init__(self, app: Any, topic: str, table: str, partitions: int) -> None:
        self._app, self._topic, self._table, self._count = app, topic, table, partitions

    def owns(self, partition: int) -> bool:
        """Whether the partition is ours, recovered, and being read."""
        return TP(self._topic, partition) in self._app.consumer.open_partitions()

    def answers(self, partition: int) -> bool:
        """Whether owns(), or the partition is ours as before and will be read again."""
        return TP(self._topic, partition) in self._app.consumer.answering()

    def check(self, partition: int) -> None:
        """Raise RecoveringError unless answers()."""
        if not self.answers(partition):
            raise RecoveringError(f"partition {partition} of {self._topic} has no ready worker")

    def partitions(self) -> list[int]:
        """Return the partitions that are ours, recovered, and being read."""
        return [
            tp.partition for tp in self._app.consumer.open_partitions() if tp.topic == self._topic
        ]

    def has_none(self) -> bool:
        """Whether no partition is ours, and none is on its way: never so in a rebalance."""
        consumer = self._app.consumer
        settled = consumer.is_flowing() and not self._app.rebalancing
        return settled and not self.partitions()

    def owners(self) -> dict[str | None, list[int]]:
        """Return {url(): its partitions} of all partitions.

        Raises RecoveringError while nobody can answer for one of them.
        """
        owners: dict[str | None, list[int]] = {}
        for partition in range(self._count):
            owners.setdefault(self.url(partition), []).append(partition)
        return owners

    @property
    def generation(self) -> int:
        """A number that changes whenever partitions begin to move."""
        return int(self._app.consumer.gate)

    def started_at(self, partition: int) -> int:
        """Return the offset that this worker began to read the partition from."""
        return self._app.consumer.started_at.get(TP(self._topic, partition), 0)  # type: ignore[no-any-return]

    def committed(self, partition: int) -> int:
        """Return the position that this worker knows to be committed; 0: none."""
        return self._app.consumer.committed_to(TP(self._topic, partition))  # type: ignore[no-any-return]

    def url(self, partition: int) -> str | None:
        """Return the base URL of the worker that owns the partition; None: this one.

        Raises RecoveringError while nobody can answer for it.
        """
        if self.answers(partition):
            return None
        own = str(self._app.conf.canonical_url).rstrip("/")
        for host, topics in self._app.router.tables_metadata().items():
            if partition in topics.get(self._app.tables[self._table].changelog_topic_name, ()):
                if host.rstrip("/") == own:
                    break
                return str(host).rstrip("/")
        raise RecoveringError(f"partition {partition} of {self._topic} has no ready worker")
