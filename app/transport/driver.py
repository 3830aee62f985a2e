"""The transport that an app is given."""

from __future__ import annotations

from typing import Any

from faust.transport.drivers import aiokafka as driver

from app.transport.consumer import BatchConsumer
from app.transport.contact import Contact
from app.transport.lengths import LogHooks


class BatchTransport(driver.Transport):
    """aiokafka transport with BatchConsumer.

    isolation_level: read_committed leaves out the records of aborted transactions.
    batch_pause_s: seconds between small fetches. hooks: what is done about logs that are too short.
    contact: when Kafka was last heard of.
    """

    Consumer = BatchConsumer
    isolation_level = "read_committed"
    batch_pause_s = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hooks = LogHooks()
        self.contact = Contact()
