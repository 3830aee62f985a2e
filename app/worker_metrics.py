"""What /metrics tells of a worker's partitions and tables, read at the moment of the scrape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class WorkerMetrics(Collector):
    """Lag of each batch partition that is being read, and rows of each table."""

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
        rows = GaugeMetricFamily(
            "event_counter_table_rows",
            "Rows in RocksDB, an estimate of its own.",
            labels=["table", "partition"],
        )
        for name, table in self._app.tables.items():
            for partition, estimate in table.row_estimates().items():
                rows.add_metric([name, str(partition)], estimate)
        yield rows
