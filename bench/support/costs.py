"""What a load over HTTP costs a worker."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bench.support.load_client import Load, put_load
from bench.support.stack import BenchWorker


class PutCost(NamedTuple):
    """Good answers a second, and CPU of the worker in us for each."""

    per_second: float
    cpu_us: float


async def put_cost(load: Load, log: Path, worker: BenchWorker) -> PutCost:
    """Run a load; as put_load()."""
    used = worker.cpu_s()
    rate = (await put_load(load, log)).per_second
    used = worker.cpu_s() - used
    return PutCost(rate, used / rate / (load.seconds + load.warmup_s) * 1e6)
