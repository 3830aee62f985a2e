"""Tables of a test: closed as a worker leaves them, and recovered."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from faust.types import TP


def close(table: Any) -> None:
    """Close the RocksDB of all partitions; another table can open them then."""
    topic = table.changelog_topic.get_topic_name()
    table.data.revoke_partitions(table, {TP(topic, at) for at in range(table.partitions)})


def recover(
    table: Any, records: Sequence[tuple[bytes, bytes | None]], first: int = 0, partition: int = 0
) -> None:
    """Recover a partition from records of the changelog at the offsets from `first` on."""
    tp = TP(table.changelog_topic.get_topic_name(), partition)
    found = [SimpleNamespace(key=key, value=value) for key, value in records]
    last = first + len(records) - 1
    message = SimpleNamespace(partition=partition, value=found, tp=tp, offset=last)
    table.recover([SimpleNamespace(message=message)])
