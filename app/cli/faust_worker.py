"""Faust's worker without its banner, spinner and second of sleep at the end."""

from __future__ import annotations

import logging
from typing import Any

import faust

REPEAT_S = 10.0


class Repeats(logging.Filter):
    """Lets the same message of aiokafka through once in ten seconds.

    While a broker is away it writes a hundred lines a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record."""
        if not record.name.startswith("aiokafka"):
            return True
        if record.created - self._said.get(str(record.msg), 0.0) < REPEAT_S:
            return False
        self._said[str(record.msg)] = record.created
        return True


class Worker(faust.Worker):
    """Quiet, and prompt to end."""

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Keep repetitions out of the log."""
        super().on_setup_root_logger(logger, level)
        for handler in logger.handlers:
            handler.addFilter(Repeats())

    async def _sentinel_task(self) -> None:
        """Faust sleeps a second here, after everything has ended."""


def execute(app: Any) -> Any:
    """Run the app of this process; never returns."""
    worker = Worker(app, loglevel="INFO", quiet=True, redirect_stdouts=False)
    worker.execute_from_commandline()
