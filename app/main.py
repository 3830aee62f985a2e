"""The app of this process, for `faust -A app.main worker`: the role is EVENT_COUNTER_ROLE."""

import asyncio
import os

import mode.loop

mode.loop.use("uvloop")

import faust  # noqa: E402 - the loop comes before Faust

from app.counting.registry import Registry  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.kafka.clients import KafkaClients  # noqa: E402
from app.kafka.tables_version import version_on  # noqa: E402
from app.kafka.watermarks import Watermarks  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.wiring.own_counters import agree_on  # noqa: E402


async def agreed(settings: Settings) -> tuple[int, Registry]:
    """Return the version of the tables that a count worker counts into, and its own counters."""
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        version = await version_on(kafka, settings)
        return version, await agree_on(kafka, settings, version)


def app_of(settings: Settings) -> faust.App:
    """Return the app of the settings' role."""
    if settings.role != "count" or not settings.kafka:
        return create_app(settings)
    loop = asyncio.new_event_loop()  # run() would leave Faust without one
    try:
        version, registry = loop.run_until_complete(agreed(settings))
    finally:
        loop.close()
    return create_app(settings, version, registry=registry)


settings = Settings.from_env(os.environ)
app = app_of(settings)
