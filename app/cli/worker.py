"""`event-counter worker --role R`: one worker in this process."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import get_args

import click

from app.errors import SettingsError
from app.settings import PREFIX, Role, Settings
from app.stack.data_dir import WORKER_FREE_MIN_BYTES, cannot_write, check_room, make_private
from app.stack.ports import check_port
from app.stack.prepare import prepare_worker

KEEPING = ("count", "archive")  # roles with files in the data directory
ROLES = [role for role in get_args(Role) if role]


@click.command(name="worker")
@click.option("--role", required=True, type=click.Choice(ROLES), help="What this worker does.")
def command(role: str) -> None:
    """Run one worker: collect, count, store or archive.

    The same as EVENT_COUNTER_ROLE=R faust -A app.main worker.

    Settings are environment variables: event-counter settings lists them.
    """
    os.environ[f"{PREFIX}ROLE"] = role
    settings = Settings.from_env(os.environ)
    if not settings.kafka:
        raise SettingsError("EVENT_COUNTER_KAFKA is empty: name a Kafka, or use: event-counter run")
    if role == "collect":
        check_port(settings.http_port, settings.http_host, "EVENT_COUNTER_HTTP_PORT")
    else:
        check_port(settings.worker_port, settings.worker_host, "EVENT_COUNTER_WORKER_PORT")
    if role in KEEPING:
        try:
            make_private(settings.data_dir)
            # Before it joins its group: each try would stop the others for a rebalance.
            check_room(settings.data_dir, WORKER_FREE_MIN_BYTES)
        except OSError as exc:
            raise cannot_write(settings.data_dir, exc) from exc
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(prepare_worker(settings))
    # Only now: it reads the role, chooses the event loop and takes a second.
    from app.main import app  # noqa: PLC0415, I001 - it chooses the loop
    from app.cli.faust_worker import execute  # noqa: PLC0415

    execute(app)
