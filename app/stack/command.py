"""A command of ours in a process of its own, which dies with the worker that waits for it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from app.errors import reason
from app.settings import Settings
from app.stack.child import leashed

TRY_LATER = 75  # exit code, EX_TEMPFAIL of sysexits.h: another one is at work

log = logging.getLogger(__name__)


async def run_command(settings: Settings, module: str, *arguments: str) -> int:
    """Run `python -m MODULE ARGUMENT...`; return its exit code, 1 where it cannot be started.

    Its output goes to the log of this worker.
    """
    command = leashed([sys.executable, "-m", module, *arguments], signal.SIGKILL, "same")
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **settings.to_env()}
        )
    except OSError as exc:  # of memory, or of processes, there is not enough
        log.warning("cannot start %s: %s", command[0], reason(exc))
        return 1
    try:
        return await process.wait()
    except BaseException:
        process.kill()
        raise
