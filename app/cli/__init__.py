"""The command line: `event-counter COMMAND`."""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module

import click

from app.errors import CounterError
from app.stack.data_dir import PRIVATE
from app.text import printable

COMMANDS = {  # name: module with a click command named `command`
    "run": "app.cli.run",
    "worker": "app.cli.worker",
    "status": "app.cli.status",
    "import": "app.cli.import_",
    "replay": "app.cli.replay",
    "generate": "app.cli.generate",
    "enrich": "app.cli.enrich",
    "query": "app.cli.query",
    "audit": "app.cli.audit",
    "rebuild": "app.cli.rebuild",
    "backup": "app.cli.backup",
    "restore": "app.cli.restore",
    "forget": "app.cli.forget",
    "grow": "app.cli.grow",
    "counters": "app.cli.counters",
    "settings": "app.cli.settings",
    "topics": "app.cli.topics",
    "trace": "app.cli.trace",
    "tail": "app.cli.tail",
}


class LazyGroup(click.Group):
    """Loads a command when it is asked for: Faust alone takes a second to import."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command, None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="faust-event-counter")
def group() -> None:
    """Count events exactly once.

    Settings are environment variables EVENT_COUNTER_...: event-counter settings lists them.
    """


def main() -> None:
    """Run the command line; an error that a person can mend is one line on stderr, exit 1."""
    os.umask(PRIVATE)  # events, ips and passwords are in what any command makes
    # What goes wrong is told in our own words; a worker sets up its log itself.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        sys.exit(group.main(prog_name="event-counter", standalone_mode=False))
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except CounterError as exc:
        fail(exc)


def fail(error: CounterError) -> None:
    """Print the error in one line and exit."""
    text = f"{error}".rstrip(".") + f". {error.hint}"
    click.echo(f"event-counter: {printable(' '.join(text.split()))}", err=True)
    sys.exit(1)
