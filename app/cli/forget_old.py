"""What workers start once a day, by EVENT_COUNTER_RAW_RETENTION_DAYS: forget, without asking.

python -m app.cli.forget_old event|archive
"""

from __future__ import annotations

import os
import sys

import click

from app.cli import fail
from app.cli.forget_months import forget_before, forget_files
from app.cli.progress import ProgressLog
from app.errors import BusyError, CounterError
from app.settings import Settings
from app.stack.command import TRY_LATER


def main(what: str) -> None:
    """Forget old months of event, or of the archive, and say so where there were any."""
    settings = Settings.from_env(os.environ)
    try:
        with ProgressLog() as progress:
            if what == "event":
                (done, *remaining) = forget_before(settings, None, progress)
                if remaining:
                    click.echo("\n".join([done, *remaining]), err=True)
            elif files := forget_files(settings, None, progress):
                click.echo(f"forgot {files} old files of the archive", err=True)
    except BusyError:
        sys.exit(TRY_LATER)
    except CounterError as exc:
        fail(exc)


if __name__ == "__main__":
    main(sys.argv[1])
