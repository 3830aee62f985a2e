"""Which partitions a worker answers for: those that it reads, and those that it keeps meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from faust.transport.consumer import ensure_TP

from app.transport.lengths import LengthConsumer
from app.transport.progress import Progress


class KeepingConsumer(LengthConsumer):
    """Base of the batch consumer: partitions are open while they are read.

    A rebalance closes all partitions of all members, and they open again once the last one that a
    member takes over is recovered. What a member had committed in full and gets again it keeps: it
    can answer for it as soon as it is assigned, as nobody else had it in between and nothing
    changes before it opens. Generations that follow each other say that nobody had it.
    """

    _open: dict[Any, Progress] | None
    _seeked: dict[Any, Progress] | None = None  # what the next resume_flow() opens
    _is_rebalancing = False  # from a revocation on, until the recovery knows what is assigned

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._generation = 0
        self._settled: frozenset[Any] = frozenset()  # committed in full when they were closed
        self._kept: frozenset[Any] = frozenset()
        super().__init__(*args, **kwargs)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """Keep what was ours in the generation before this one."""
        before, self._generation = self._generation, self._thread.generation()
        if self._generation != before + 1:
            self._settled = frozenset()
        await super().on_partitions_assigned(assigned, generation_id)
        self._kept = self._settled = self._settled.intersection(map(ensure_TP, assigned))

    def reassigned(self) -> None:
        """Called by the recovery once it knows of an assignment, and begins anew.

        Seeks that the one before it made, or still makes, open nothing any more.
        """
        self._is_rebalancing = False
        self.gate += 1
        self._seeked = None

    def is_outdated(self) -> bool:
        """Whether a recovery that acts now may be that of an older assignment.

        It goes on for some turns of the loop after the next one was told to begin.
        """
        return self._is_rebalancing or self.app.tables.recovery.signal_recovery_start.is_set()

    def settled(self) -> Iterable[Any]:
        """Yield the open partitions of which all that the tables show is committed."""
        for tp, progress in (self._open or {}).items():
            if not progress.ahead() and self.committed_to(tp) >= progress.done:
                yield tp

    def open_partitions(self) -> Collection[Any]:
        """Return the batch partitions that are being delivered: ours, recovered, seeked."""
        return (self._open or {}).keys()

    def answering(self) -> Collection[Any]:
        """Return the batch partitions whose tables are right: open, or kept until they open."""
        if self._open is not None:
            return self._open.keys()
        return () if self.refused else self._kept

    def positions(self) -> dict[Any, int]:
        """Return the position up to which each open partition is done."""
        return {tp: progress.done for tp, progress in (self._open or {}).items()}

    def is_flowing(self) -> bool:
        """Whether the gate is open: recovery and seek are done, perhaps with no partition."""
        return self._open is not None and self.flow_active
