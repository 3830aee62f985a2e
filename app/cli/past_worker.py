"""The worker that `rebuild tables` starts: python -m app.cli.past_worker VERSION.

It counts the past into the tables of a version, beside the workers that answer: it has no queries,
no sinks and no alerts, and rejects without a word.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from app.names import Names
from app.reconcile.past_events import PastReader
from app.settings import Settings


def make_app(settings: Settings, version: int) -> Any:
    """Return the app; it needs the addresses of Kafka and Postgres."""
    from app.factory import create_app  # noqa: PLC0415 - the loop comes before Faust
    from app.wiring.own_counters import agree  # noqa: PLC0415

    past = PastReader(settings.postgres.get_secret_value(), Names(settings.namespace).events)
    registry = asyncio.new_event_loop().run_until_complete(agree(settings, version))
    return create_app(settings, version, past=past, registry=registry)


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    import mode.loop  # noqa: PLC0415

    mode.loop.use("uvloop")
    app = make_app(Settings.from_env(os.environ), int(sys.argv[1]))
    from app.cli.faust_worker import execute  # noqa: PLC0415 - Faust, again

    sys.argv[1:] = []
    execute(app)


if __name__ == "__main__":
    main()
