"""The servers that a command works with: those of the settings, else those of a running copy."""

from __future__ import annotations

from typing import NamedTuple

import click
from pydantic import SecretStr

from app.archive.files import Folders
from app.errors import StartError
from app.settings import Settings, variable
from app.stack.data_dir import read_run_file
from app.text import printable, without_password

FROM_RUN = ("kafka", "namespace", "count_urls", "postgres", "redis", "worker_secret")
TITLES = {"kafka": "Kafka", "postgres": "Postgres", "redis": "Redis", "count_urls": "count workers"}


class Servers(NamedTuple):
    """settings: with all addresses. copied: names of those that a running copy gave."""

    settings: Settings
    copied: frozenset[str] = frozenset()


def find_servers(settings: Settings) -> Servers:
    """Return the settings, with what a copy in the data directory knows where they say nothing.

    The environment wins. A copy that works with another Kafka is another counter: it is left alone.
    Raises StartError where neither a copy runs in the data directory nor a Kafka is configured.
    """
    running = read_run_file(settings.data_dir)
    if settings.kafka and running.get("kafka") != settings.kafka:
        return Servers(settings)
    if not running:
        raise StartError(
            f"Nothing runs in {settings.data_dir.absolute()}. Start it with: event-counter run; "
            "or set EVENT_COUNTER_DATA_DIR to where it runs, or EVENT_COUNTER_KAFKA"
        )
    changes: dict[str, object] = {}
    for name in FROM_RUN:
        if name in running and not is_given(settings, name):
            secret = Settings.model_fields[name].annotation is SecretStr
            changes[name] = SecretStr(running[name]) if secret else running[name]
    return Servers(settings.model_copy(update=changes), frozenset(changes))


def with_servers(settings: Settings, *needed: str) -> Settings:
    """Return find_servers()' settings, and say on stderr which servers these are.

    needed: names of settings. Raises StartError where one is empty.
    """
    found = find_servers(settings)
    for name in needed:
        if not text_of(found.settings, name):
            raise StartError(f"{variable(name)} is empty. Set it to the address to work with")
    tell_servers(found, *needed)
    return found.settings


def tell_servers(found: Servers, *names: str) -> None:
    """Say on stderr which servers a command works with, without passwords."""
    said = [
        f"{TITLES[name]} {printable(without_password(text_of(found.settings, name)))} "
        f"({_source(found, name)})"
        for name in names
        if text_of(found.settings, name)
    ]
    click.echo(f"using {', '.join(said)}", err=True)


def _source(found: Servers, name: str) -> str:
    if name in found.copied:
        return printable(found.settings.data_dir)
    return variable(name) + ("" if is_given(found.settings, name) else ", its default")


def tell_archive(folders: Folders) -> None:
    """Say on stderr which archive a command works with."""
    click.echo(f"using the archive in {printable(folders.archive.parent)}", err=True)


def is_given(settings: Settings, name: str) -> bool:
    """Whether the environment says what a setting is."""
    return name in settings.model_fields_set and bool(text_of(settings, name))


def text_of(settings: Settings, name: str) -> str:
    """Return a setting, a secret one too."""
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
