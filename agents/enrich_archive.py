"""Task enrich_archive: renews enriched/ every few hours, in a process of its own."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from app.archive.files import Folders
from app.archive.snapshot import Snapshot
from app.settings import Settings
from app.stack.command import run_command

CHECK_S = 5.0
AFTER_FAILURE_S = 600.0

log = logging.getLogger(__name__)


def register(app: Any, settings: Settings) -> None:
    """Add the task to the app."""
    folders = Folders.of(settings)
    interval = timedelta(seconds=settings.enrich_interval_s)

    @app.task
    async def enrich_archive() -> None:
        """Run `event-counter enrich` whenever the last result is older than the interval."""
        while True:
            await asyncio.sleep(min(CHECK_S, settings.enrich_interval_s))
            if is_due(folders, interval, datetime.now(UTC)) and await run_enrich(settings):
                await asyncio.sleep(AFTER_FAILURE_S)


def is_due(folders: Folders, interval: timedelta, now: datetime) -> bool:
    """Whether something is archived and enriched/ is missing or older than the interval."""
    if not folders.archive.is_dir():
        return False
    last = Snapshot.read(folders.enriched)
    return last is None or not timedelta() <= now - last.made < interval


async def run_enrich(settings: Settings) -> int:
    """Return the exit code; its output goes to the log of this worker."""
    code = await run_command(settings, "app.cli", "enrich")
    if code:
        log.warning("enrich ended with %d; again in %.0f s", code, AFTER_FAILURE_S)
    return code
