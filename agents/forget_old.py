"""Task forget_old: old months leave event or the archive once a day, in a process of its own."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal

from app.settings import Settings
from app.stack.command import TRY_LATER, run_command

FIRST_S = 60.0  # after a start, when what is due at a start is done
DAY_S = 86_400.0
AGAIN_S = 3600.0  # after a failure, or where another worker is at it

NAMES = {"event": "event", "archive": "the archive"}

log = logging.getLogger(__name__)


def register(
    app: Any, settings: Settings, what: Literal["event", "archive"], first_s: float = FIRST_S
) -> None:
    """Add the task to the app, where EVENT_COUNTER_RAW_RETENTION_DAYS asks for it."""
    if not settings.raw_retention_days:
        return

    @app.task
    async def forget_old() -> None:
        """Forget old months, and what came in late since, once a day."""
        await asyncio.sleep(first_s)
        while True:
            await asyncio.sleep(AGAIN_S if await run(settings, what) else DAY_S)


async def run(settings: Settings, what: str) -> int:
    """Return the exit code; what it says goes to the log of this worker."""
    code = await run_command(settings, "app.cli.forget_old", what)
    if code not in (0, TRY_LATER):
        log.warning("old months of %s are not forgotten; again in %.0f s", NAMES[what], AGAIN_S)
    return code
