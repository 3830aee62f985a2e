"""The app of this process, for `faust -A app.main worker`: the role is EVENT_COUNTER_ROLE."""

import asyncio
import os

import mode.loop

mode.loop.use("uvloop")

from app.factory import create_app  # noqa: E402 - the loop comes before Faust
from app.kafka.tables_version import FIRST, current_version  # noqa: E402
from app.settings import Settings  # noqa: E402


def version_of(settings: Settings) -> int:
    """Return the version of the tables that this worker counts into."""
    if settings.role != "count" or not settings.kafka:
        return FIRST
    loop = asyncio.new_event_loop()  # run() would leave Faust without one
    try:
        return loop.run_until_complete(current_version(settings))
    finally:
        loop.close()


settings = Settings.from_env(os.environ)
app = create_app(settings, version_of(settings))
