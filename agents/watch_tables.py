"""Task watch_tables: end the worker when other tables count, so that it is started with those."""

from __future__ import annotations

from typing import Any

from agents.ending import end_when
from app.errors import KafkaUnavailableError
from app.kafka.tables_version import TablesVersion


def register(app: Any, current: TablesVersion, version: int) -> None:
    """Add the task to the app; version: of the tables of this worker."""

    async def outdated() -> str:
        try:
            newest = await current.read()
        except KafkaUnavailableError as exc:
            app.log.warning("whether the tables still count is not known: %s", exc)
            return ""
        return "" if newest == version else f"tables of version {newest} count now"

    @app.task
    async def watch_tables() -> None:
        """End the worker when other tables count."""
        await end_when(app, outdated, current.close)
