"""Counting a backlog with one worker: how fast, with how much of a core, with how much memory."""

from __future__ import annotations

from typing import NamedTuple

from app.names import Names
from app.settings import Settings
from bench.support.backlog import Mix, fill
from bench.support.results import Report
from bench.support.stack import Stack
from bench.support.watch import Counted, Offsets

READY_S = 60


class BacklogCount(NamedTuple):
    """rate: events/s. cpu_us: of the worker, per event."""

    rate: float
    cpu_us: float


async def count_backlog(
    stack: Stack, report: Report, settings: Settings, mix: Mix, words: str
) -> BacklogCount:
    """Send a backlog, count it with a new worker, and report the figures; clears the settings.

    Measured from ready until all is committed and complete. words: what the figures are called.
    """
    names, expected = Names(settings.namespace), mix.expected()
    await fill(settings.kafka, names.events, settings.events_partitions, mix)
    async with (
        Offsets(stack.admin, settings.kafka, names.count_group, names.events) as offsets,
        stack.worker(settings, "count", ready=False) as worker,
        Counted(worker.url) as counted,
    ):
        ready = await worker.ready_at(READY_S)
        before, used = await counted.total(), worker.cpu_s()
        committed = await offsets.all_committed()
        complete = await counted.complete(mix.events, expected)
        used = (worker.cpu_s() - used) / (mix.events - before) * 1e6
        memory = worker.memory_mb()
    report.figure(f"{words}: CPU", used, "us/event")
    report.figure(f"{words}: memory at the end", memory, "MB")
    rate = (mix.events - before) / (max(complete, committed) - ready)
    await stack.clear(settings)
    return BacklogCount(report.figure(words, rate, "events/s"), used)
