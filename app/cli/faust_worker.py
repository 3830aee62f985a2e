"""Faust's worker without its banner, spinner and second of sleep at the end."""

from __future__ import annotations

import logging
from typing import Any

import faust

from app.kafka.repeats import leave_out_repeats


class QuietWorker(faust.Worker):
    """Faust's, prompt to end."""

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Keep repetitions out of the log."""
        super().on_setup_root_logger(logger, level)
        leave_out_repeats()

    def _setproctitle(self, *_: Any, **__: Any) -> None:
        """Keep the command line: Faust's title says -init- as long as the worker runs."""

    async def _sentinel_task(self) -> None:
        """Faust sleeps a second here, after everything has ended."""


def execute(app: Any) -> Any:
    """Run the app of this process; never returns. Raises what the app crashed of, if it did."""
    worker = QuietWorker(app, loglevel="INFO", quiet=True, redirect_stdouts=False)
    try:
        worker.execute_from_commandline()
    except SystemExit:
        # Faust drops it; as the last words of the log it tells whoever runs this what to do.
        if worker.crash_reason is not None:
            raise worker.crash_reason from None
        raise
