"""A command that kills itself: python -m tests.support.dying_command STATEMENT UNLINKED COMMAND.

It dies, by SIGKILL, before a statement that begins with STATEMENT, or once it has deleted UNLINKED
files.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg

from app import cli


def die() -> None:
    """End here."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(statement: str, unlinked: int, *command: str) -> None:
    """Run a command until it dies."""
    execute, unlink, left = asyncpg.Connection.execute, Path.unlink, unlinked

    async def dying_execute(self: Any, query: str, *args: Any, **options: Any) -> Any:
        if statement and query.startswith(statement):
            die()
        return await execute(self, query, *args, **options)

    def dying_unlink(self: Path, **options: Any) -> None:
        nonlocal left
        unlink(self, **options)
        left -= 1
        if not left:
            die()

    asyncpg.Connection.execute = dying_execute
    Path.unlink = dying_unlink  # type: ignore[assignment]
    sys.argv[1:] = command
    cli.main()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
