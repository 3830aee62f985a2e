"""The transport that an app is given."""

from __future__ import annotations

from faust.transport.drivers import aiokafka as driver

from app.transport.consumer import BatchConsumer


class BatchTransport(driver.Transport):
    """aiokafka transport with BatchConsumer.

    isolation_level: read_committed leaves out the records of aborted transactions.
    batch_pause_s: seconds between small fetches.
    """

    Consumer = BatchConsumer
    isolation_level = "read_committed"
    batch_pause_s = 0.0
