"""The transport that an app is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faust.transport.drivers import aiokafka as driver

from app.transport.consumer import BatchConsumer
from app.transport.lengths import LogHooks


class BatchTransport(driver.Transport):
    """aiokafka transport with BatchConsumer.

    isolation_level: read_committed leaves out the records of aborted transactions.
    batch_pause_s: seconds between small fetches. hooks: what is done about logs that are too short.
    heard: called when the coordinator has said that this worker is a member of its group.
    """

    Consumer = BatchConsumer
    isolation_level = "read_committed"
    batch_pause_s = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hooks = LogHooks()
        self.heard: Callable[[], None] = lambda: None
