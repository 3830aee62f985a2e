"""The way to Kafka that Faust's own producer does not offer: ready-made record batches."""

from __future__ import annotations

from typing import Any


def kafka_producer(app: Any) -> Any:
    """Return the aiokafka producer behind the app's; it lives as long as the worker runs."""
    return app.producer._producer


def give_up_sending(app: Any) -> None:
    """Let the producer's stop not wait for what Kafka does not take.

    It would for 20 minutes, where a topic is gone.
    """
    kafka_producer(app)._sender.sender_task.cancel()
