"""Keeps out of a log what nobody can act on.

aiokafka repeats some messages a hundred times a second while Kafka is away. Faust tells of each
timer that is late and of each long rebalance, with its stack: /ready and the metrics of the loop
say so where it matters.
"""

from __future__ import annotations

import logging

REPEAT_S = 10.0
TIMERS, REBALANCES = "mode.timers", "faust.app.base"  # names of loggers
LONG = ("Task timed out!", "make sure it's hanging", "[%s] (", "[%s] -", "[%s] Task", "Stack for")


class Repeats(logging.Filter):
    """For a handler: lets the same message of aiokafka through once in REPEAT_S, others always."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record."""
        if record.name == TIMERS:
            return False
        if record.name == REBALANCES:
            return not any(part in str(record.msg) for part in LONG)
        if not record.name.startswith("aiokafka"):
            return True
        if record.created - self._said.get(str(record.msg), 0.0) < REPEAT_S:
            return False
        self._said[str(record.msg)] = record.created
        return True


def leave_out_repeats() -> None:
    """Have all that the handlers of the root logger write pass Repeats, once."""
    for handler in logging.getLogger().handlers:
        if not any(isinstance(one, Repeats) for one in handler.filters):
            handler.addFilter(Repeats())
