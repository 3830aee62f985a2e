"""What /metrics tells of a worker's partitions and tables, read at the moment of the scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.counting.outcomes import OUTCOMES
from app.counting.spec import Cells
from app.transport.ownership import Ownership


class WorkerMetrics(Collector):
    """Lag of each batch partition that is being read."""

    def __init__(self, app: Any, group: str) -> None:
        self._app, self._group = app, group

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; called in the event loop by GET /metrics."""
        lag = GaugeMetricFamily(
            "event_counter_lag_records",
            "Records that are not committed, as of the last fetch.",
            labels=["group", "topic", "partition"],
        )
        consumer = self._app.consumer
        for tp, position in consumer.positions().items():
            behind = max(0, (consumer.highwater(tp) or 0) - position)
            lag.add_metric([self._group, tp.topic, str(tp.partition)], behind)
        yield lag


class TableMetrics(Collector):
    """Rows of each table, and the memory of all together."""

    def __init__(self, app: Any, memory: Callable[[], dict[str, int]]) -> None:
        """memory: see tables.table_store."""
        self._app, self._memory = app, memory

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; called in the event loop by GET /metrics."""
        rows = GaugeMetricFamily(
            "event_counter_table_rows",
            "Rows in RocksDB, an estimate of its own.",
            labels=["table", "partition"],
        )
        for name, table in self._app.tables.items():
            for partition, estimate in table.row_estimates().items():
                rows.add_metric([name, str(partition)], estimate)
        yield rows
        memory = GaugeMetricFamily(
            "event_counter_rocksdb_memory_bytes",
            "Memory of RocksDB, all tables together.",
            labels=["part"],
        )
        for part, size in self._memory().items():
            memory.add_metric([part], size)
        yield memory


class OutcomeSource(Protocol):
    """What became of the records of a partition of `events`, see tables.partials."""

    def outcomes(self, partition: int) -> tuple[int, Cells]:
        """Return a position, and what became of all records below it, by slot."""


class OutcomeMetrics(Collector):
    """received = counted + bots + duplicates + rejected: all of one position, at each scrape."""

    def __init__(self, partials: OutcomeSource, owned: Ownership) -> None:
        """owned: partitions of `events`."""
        self._partials, self._owned = partials, owned

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; called in the event loop, so that no batch comes in between."""
        records = GaugeMetricFamily(
            "event_counter_records",
            "Records of a partition of events below event_counter_records_position, by outcome: "
            "received = counted + bots + duplicates + rejected, at any time.",
            labels=["partition", "outcome"],
        )
        position = GaugeMetricFamily(
            "event_counter_records_position",
            "Offset that event_counter_records reaches to.",
            labels=["partition"],
        )
        for partition in self._owned.partitions():
            reached, cells = self._partials.outcomes(partition)
            position.add_metric([str(partition)], reached)
            for slot, outcome in enumerate(OUTCOMES):
                records.add_metric([str(partition), outcome], cells.get(slot, 0))
        yield position
        yield records
