"""Task watch_tables: end the worker when other tables count, so that it is started with those."""

from __future__ import annotations

import os
import signal
from typing import Any

from app.errors import KafkaUnavailableError
from app.kafka.tables_version import TablesVersion

INTERVAL_S = 1.0


def register(app: Any, current: TablesVersion, version: int) -> None:
    """Add the task to the app; version: of the tables of this worker."""

    @app.task
    async def watch_tables() -> None:
        """End with SIGTERM: what is begun is committed, and whoever keeps the worker starts it."""
        try:
            while not app.should_stop:
                try:
                    newest = await current.read()
                except KafkaUnavailableError as exc:
                    app.log.warning("whether the tables still count is not known: %s", exc)
                else:
                    if newest != version:
                        app.log.warning("tables of version %d count now: ending", newest)
                        os.kill(os.getpid(), signal.SIGTERM)
                        return
                await app.sleep(INTERVAL_S)
        finally:
            await current.close()
