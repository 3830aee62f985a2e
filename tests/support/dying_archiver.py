"""An archive worker that kills itself among its files: `python -m tests.support.dying_archiver`.

Environment ARCHIVER_DIES: `STEP COUNT`. STEP: `write` (a scratch file is there), `publish` (a file
has its name, perhaps not all of its flush), `messages` (a file of message_ids has), `exchange`
(merged files have taken their place), `written` (a flush is done, nothing acknowledged), `commit`
(offsets committed). COUNT: how many of them go well before.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import mode.loop

mode.loop.use("uvloop")

from app import cli  # noqa: E402 - the loop comes before Faust
from app.archive import archive, messages  # noqa: E402
from app.transport import BatchConsumer  # noqa: E402


def die_after(owner: Any, name: str, count: int) -> None:
    """Let the process be killed when the function has returned once more than count times."""
    whole, left = getattr(owner, name), count

    def last(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        result = whole(*args, **kwargs)
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, last)


def die_after_commit(count: int) -> None:
    """The same for the coroutine that commits."""
    whole, left = BatchConsumer._commit_offsets, count

    async def last(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        result = await whole(*args, **kwargs)
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    BatchConsumer._commit_offsets = last


if __name__ == "__main__":
    if text := os.environ.pop("ARCHIVER_DIES", ""):
        step, after = text.split()
        if step == "commit":
            die_after_commit(int(after))
        elif step == "messages":
            die_after(messages, "publish", int(after))
        elif step == "written":
            die_after(archive.Archive, "write", int(after))
        else:
            name = {"write": "write_rows"}.get(step, step)
            die_after(archive, name, int(after))
    sys.argv[1:] = ["worker", "--role", "archive"]
    cli.main()
