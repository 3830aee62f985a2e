"""Faust's worker without its banner, spinner and second of sleep at the end."""

from __future__ import annotations

import logging
from typing import Any

import faust

from app.main import app

NOISY = ("aiokafka.conn", "aiokafka.cluster", "kafka.conn")


class Worker(faust.Worker):
    """Quiet, and prompt to end."""

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Keep out what is said of each connection."""
        super().on_setup_root_logger(logger, level)
        for name in NOISY:
            logging.getLogger(name).setLevel(logging.WARNING)

    async def _sentinel_task(self) -> None:
        """Faust sleeps a second here, after everything has ended."""


def execute() -> Any:
    """Run the app of this process; never returns."""
    worker = Worker(app, loglevel="INFO", quiet=True, redirect_stdouts=False)
    worker.execute_from_commandline()
