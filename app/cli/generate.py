"""`event-counter generate`: random events at a rate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import sys
from typing import Any, get_args

import click
import uvloop

from app.cli.console import TimedConsole
from app.cli.running import with_servers
from app.errors import StartError
from app.ingest.generator import Generator, Shape
from app.ingest.generator_run import Load, Pace, Tally, show, summary
from app.ingest.generator_targets import HttpTarget, KafkaTarget, Target
from app.kafka.repeats import leave_out_repeats
from app.settings import Settings
from app.stack.data_dir import read_run_file
from app.stack.workers import reached_at
from app.text import keyed


class Seconds(click.FloatRange):
    """A duration; nan is in every range of click's, as it is neither below nor above anything."""

    name = "seconds"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the seconds."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


@click.command(name="generate")
@click.option(
    "--rate",
    type=click.IntRange(1, 1_000_000),
    default=1000,
    show_default=True,
    help="Events per second.",
)
@click.option(
    "--seconds",
    type=Seconds(0, 1e9, min_open=True),
    help="How long; default: until Ctrl-C.",
)
@click.option(
    "--shape",
    type=click.Choice(get_args(Shape)),
    default="analytics",
    show_default=True,
    help="What the events look like.",
)
@click.option(
    "--users",
    type=click.IntRange(1, 100_000_000),
    default=1000,
    show_default=True,
    help="Different users; in the counter shape, addresses.",
)
@click.option(
    "--bots",
    type=click.IntRange(0, 1000),
    default=0,
    help="Further users who send bursts of page views with one timestamp: a tenth of all events.",
)
@click.option(
    "--to",
    "way",
    type=click.Choice(["http", "kafka"]),
    default="http",
    show_default=True,
    help="POST /events of the collector, or straight to the topic.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="The same seed makes the same events, but for their times.",
)
def command(*, rate: int, seconds: float | None, way: str, **of_events: Any) -> None:
    """Send random events at a steady rate; Ctrl-C ends it."""
    logging.basicConfig(level=logging.ERROR)
    leave_out_repeats()
    settings = Settings.from_env(os.environ)
    generator = Generator(**of_events)
    target = target_of(settings, way)
    pace = Pace(rate, seconds)
    try:
        tally = uvloop.run(send(generator, target, pace))
    except asyncio.CancelledError as exc:
        raise click.Abort from exc
    click.echo(summary(tally, pace))
    if tally.failed and not tally.acknowledged:
        raise StartError("Nothing was acknowledged")


def target_of(settings: Settings, way: str) -> Target:
    """Return where events go, and say so: the environment, else the copy in the data directory."""
    if way == "kafka":
        return KafkaTarget(with_servers(settings, "kafka"))
    url: str = reached_at(settings.http_host, settings.http_port)
    if not {"http_host", "http_port"} & settings.model_fields_set:
        url = read_run_file(settings.data_dir).get("http", url)
    click.echo(f"using the collector at {url}", err=True)
    return HttpTarget(url, next(iter(keyed(settings.write_keys.get_secret_value())), ""))


async def send(generator: Generator, target: Target, pace: Pace) -> Tally:
    """Send until the pace is over, or a signal comes; a second one does not wait for answers."""
    stop, task = asyncio.Event(), asyncio.current_task()

    def end() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    async with target:
        load = Load(generator, target, pace)
        shown = asyncio.create_task(show(load.tally, TimedConsole(sys.stderr).progress))
        try:
            return await load.run(stop)
        finally:
            shown.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await shown
