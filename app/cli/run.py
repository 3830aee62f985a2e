"""`event-counter run`: everything on this machine, in the foreground."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import click

from app.alerting.alert_rules import load_rules
from app.cli.console import TimedConsole
from app.settings import Settings
from app.stack.supervisor import Supervisor
from app.stack.workers import reached_at
from app.text import keyed, without_password
from app.wiring.own_counters import numbered_counters
from tables.counters import declare
from web.pages.files import has_charts
from web.pages.install import AGAIN

IMPATIENT_S = 2.0  # make passes a signal on: one Ctrl-C or kill may arrive twice
READY = """
Ready after {seconds:.1f} s. Ctrl-C stops all of it; the state stays in {folder}
  Dashboard {http}/{charts}
  HTTP      {http}
  Kafka     {kafka}
  Postgres  {postgres}
  Redis     {redis}
  Logs      {folder}/logs
  Commands  {commands}
Passwords are left out: event-counter status --secrets shows them.
Count a click, and ask until it is counted:
  curl -w '\\n' -X PUT {http}/event_generate/{key} -d '{{"type":"CLICK","url":"https://www.example.net"}}'
  until curl -s -X POST {http}/event_track/{header} \\
    -d '{{"url":"https://www.example.net"}}' | grep '"CLICK","count":[1-9]'; do sleep 0.2; done
"""
WITHOUT_CHARTS = f" (without charts; to add them: {AGAIN})"
AUTHORIZATION = ' -H "Authorization: Bearer {}"'
READ_TOKEN = "$EVENT_COUNTER_READ_TOKEN"  # noqa: S105 - so no secret is printed
WRITE_KEY = "${EVENT_COUNTER_WRITE_KEYS%%[=,]*}"  # the first one: key=app,…


@click.command(name="run")
def command() -> None:
    """Start the workers, and the servers that have no address.

    Servers are Kafka, Postgres and Redis; all of it runs on this machine. Ctrl-C stops everything,
    the state stays in the data directory.

    Settings are environment variables: event-counter settings lists them.
    """
    settings = Settings.from_env(os.environ)
    own = [one.meaning.spec(number, one.name, "") for number, one in numbered_counters(settings)]
    load_rules(settings, declare(settings, own))  # a bad file stops here, not each worker
    asyncio.run(supervise(settings, TimedConsole()))


async def supervise(settings: Settings, console: TimedConsole) -> None:
    """Run until a signal; another one a while later ends everything at once."""
    supervisor = Supervisor(settings, console)
    running = asyncio.ensure_future(
        supervisor.run(lambda now: console.block(ready_text(now, console.seconds())))
    )
    asked = 0.0

    def stop() -> None:
        nonlocal asked
        if not asked:
            asked = time.monotonic()
            console.step("stopping")
            running.cancel()
        elif time.monotonic() - asked > IMPATIENT_S:
            supervisor.kill()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await running
    except asyncio.CancelledError:
        console.step("stopped")


def ready_text(settings: Settings, seconds: float) -> str:
    """Return what a person can do now."""
    has_keys = bool(keyed(settings.write_keys.get_secret_value()))
    return READY.format(
        seconds=seconds,
        folder=settings.data_dir,
        http=reached_at(settings.http_host, settings.http_port),
        charts="" if has_charts() else WITHOUT_CHARTS,
        kafka=settings.kafka,
        postgres=without_password(settings.postgres.get_secret_value()),
        redis=without_password(settings.redis.get_secret_value()),
        commands=commands_text(Path(sys.prefix), Path.cwd()),
        key=AUTHORIZATION.format(WRITE_KEY) if has_keys else "",
        header=AUTHORIZATION.format(READ_TOKEN) if settings.read_token.get_secret_value() else "",
    )


def commands_text(prefix: Path, here: Path) -> str:
    """Return how to call the other commands; prefix: of this Python, here: the current folder."""
    own, found = prefix / "bin/event-counter", shutil.which("event-counter")
    if found and own.exists() and Path(found).samefile(own):
        return "event-counter --help, in another terminal"
    activate = prefix / "bin/activate"
    if not activate.exists():
        return f"{own} --help, in another terminal"
    shown = activate.relative_to(here) if activate.is_relative_to(here) else activate
    shell = " (or: make shell)" if (here / "Makefile").exists() else ""
    return f"source {shown}{shell}, then event-counter --help, in another terminal"
