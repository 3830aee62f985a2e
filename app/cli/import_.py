"""`event-counter import FILE...`: access logs or NDJSON into the topic events."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

from app.cli.running import with_servers
from app.errors import KafkaUnavailableError, StartError
from app.events.url_rules import load
from app.ingest.importer import (
    PARSERS,
    BackgroundCollector,
    Importer,
    looks_like,
    read_lines,
)
from app.settings import Settings
from app.text import printable

GZIP = b"\x1f\x8b"  # RFC 1952
SAID_MAX = 20  # rejected lines that are printed
CLEAR_LINE = "\r\x1b[K"


@click.command(name="import")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True, path_type=Path),
)
@click.option(
    "--format",
    "line_format",
    type=click.Choice(list(PARSERS)),
    default="combined",
    show_default=True,
    help="combined: access log, common format too. ndjson: an event of any shape a line.",
)
def command(files: tuple[Path, ...], line_format: str) -> None:
    """Count the lines of FILEs (.gz: unpacked, -: stdin). Each import of a file counts it again.

    A page view each for GET and HEAD, else an event of the method's name, at the log's time.
    """
    logging.basicConfig(level=logging.ERROR)
    settings = with_servers(Settings.from_env(os.environ), "kafka")
    rules = load(settings.url_rules)
    with BackgroundCollector(settings) as collector:
        telling = Rejects()
        importer = Importer(collector.send, PARSERS[line_format], telling.say, rules)
        try:
            try:
                read_files(importer, files)
            finally:
                importer.finish()
        except KafkaUnavailableError as exc:
            raise StartError(
                f"Kafka stopped taking events ({exc}); the first {importer.imported} good lines "
                "are stored, of the next ones any may be"
            ) from exc
        finally:
            telling.end()
            click.echo(f"imported {importer.imported}, rejected {importer.rejected}")
    if importer.rejected and not importer.imported:
        raise StartError(f"No line is in the format {line_format}{_advice(importer.samples)}")
    if importer.rejected > importer.imported and (found := looks_like(importer.samples)):
        click.echo(f"most lines look like {found}: see --format", err=True)


import_command = command


def read_files(importer: Importer, files: tuple[Path, ...]) -> None:
    """Read all files, with a bar on stderr where that is a terminal."""
    size = sum(path.stat().st_size for path in files if str(path) != "-")
    hidden = not (size and sys.stderr.isatty())
    with click.progressbar(length=size, label="import", hidden=hidden, file=sys.stderr) as bar:
        for path in files:
            importer.read(path.name.removesuffix(".gz"), read_lines(path, bar.update))
        bar.update(size - bar.pos)


class Rejects:
    """Prints why lines were rejected, the first ones; a wrong format would print a whole file."""

    def __init__(self) -> None:
        self._more = 0
        self._said = 0

    def say(self, text: str) -> None:
        """Print a line about a line, above the bar."""
        if self._said == SAID_MAX:
            self._more += 1
            return
        self._said += 1
        click.echo((CLEAR_LINE if sys.stderr.isatty() else "") + printable(text), err=True)

    def end(self) -> None:
        """Say how many more there were."""
        if self._more:
            click.echo(f"and {self._more:,} more rejected lines", err=True)


def _advice(samples: list[bytes]) -> str:
    """Return what to type for files whose lines were all rejected, such as these."""
    if samples and samples[0].startswith(GZIP):
        return ". It is packed: its name must end with .gz"
    if found := looks_like(samples):
        return f". It looks like {found}: --format {found}"
    if samples and samples[0].lstrip().startswith(b"["):
        return ". It looks like a JSON array: give one object a line (jq -c '.[]'), --format ndjson"
    return "; see --format"
