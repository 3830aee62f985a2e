"""`event-counter run`: everything on this machine, in the foreground."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import click

from app.alerting.alert_rules import load_rules
from app.cli.console import TimedConsole
from app.settings import Settings
from app.stack.supervisor import Supervisor
from tables.counters import declare

IMPATIENT_S = 2.0  # make passes a signal on: one Ctrl-C or kill may arrive twice
READY = """
Ready after {seconds:.1f} s. Ctrl-C stops all of it; the state stays in {folder}
  HTTP      {http}
  Kafka     {kafka}
  Postgres  {postgres}
  Redis     {redis}
  Logs      {folder}/logs
Count a click, then ask for it:
  curl -X PUT {http}/event_generate/ -d '{{"type":"CLICK","url":"https://www.example.net"}}'
  curl -X POST {http}/event_track/ -d '{{"url":"https://www.example.net"}}'
"""


@click.command(name="run")
def command() -> None:
    """Start what is not configured (Kafka, Postgres, Redis) and the workers.

    Settings are environment variables: event-counter settings lists them.
    """
    settings = Settings.from_env(os.environ)
    load_rules(settings, declare(settings))  # a bad file stops here, not each worker
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
    return READY.format(
        seconds=seconds,
        folder=settings.data_dir,
        http=f"http://{settings.http_host}:{settings.http_port}",
        kafka=settings.kafka,
        postgres=settings.postgres.get_secret_value(),
        redis=settings.redis.get_secret_value(),
    )
