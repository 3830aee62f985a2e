"""Task watch_contact: whether Kafka still knows this worker, asked once a second."""

from __future__ import annotations

from typing import Any

from app.transport.contact import Contact

INTERVAL_S = 1.0


def register(app: Any, contact: Contact) -> None:
    """Add the task to the app."""

    @app.task
    async def watch_contact() -> None:
        while not app.should_stop:
            await contact.listen(app.consumer)
            await app.sleep(INTERVAL_S)
