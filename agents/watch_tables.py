"""Task watch_tables: end the worker when other tables count, so that it is started with those.

And, where these tables follow others, answer nothing that is lower than what those answered.
"""

from __future__ import annotations

from typing import Any

from agents.ending import end_when
from app.errors import KafkaUnavailableError
from app.kafka.succession import counted_before
from app.kafka.tables_version import TablesVersion
from app.settings import Settings
from tables.floor import Floor

AGAIN_S = 1.0  # after Kafka did not answer


def register(app: Any, settings: Settings, version: int, floor: Floor) -> None:
    """Add the tasks to the app; version: of the tables of this worker. floor: of all of them."""
    current = TablesVersion(settings)

    async def outdated() -> str:
        try:
            newest = await current.read()
        except KafkaUnavailableError as exc:
            app.log.warning("cannot tell whether these tables are still current: %s", exc)
            return ""
        return "" if newest == version else f"tables of version {newest} count now"

    @app.task
    async def watch_tables() -> None:
        """End the worker when other tables count."""
        await end_when(app, outdated, current.close)

    @app.task
    async def follow_tables() -> None:
        """Learn what the tables before these may have answered."""
        while not app.should_stop:
            try:
                floor.positions = await counted_before(settings, version)
            except KafkaUnavailableError as exc:
                app.log.warning("cannot tell what the older tables had counted: %s", exc)
                await app.sleep(AGAIN_S)
            else:
                return
