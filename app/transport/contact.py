"""When Kafka last said that this worker is a member of its group: how old its figures may be."""

from __future__ import annotations

from time import time
from typing import Any

from aiokafka.errors import KafkaError


class Contact:
    """Of one worker."""

    def __init__(self, silent_after_s: float, stale_max_s: float) -> None:
        """silent_after_s: without a word its partitions may have moved.

        stale_max_s: then its figures are too old.
        """
        self._silent_after_s, self.stale_max_s = silent_after_s, stale_max_s
        self._heard_s = time()

    async def listen(self, consumer: Any) -> None:
        """Ask the coordinator once; no answer is one, too."""
        try:
            if await consumer._thread.call_thread(consumer._thread.heartbeat):
                self._heard_s = time()
        except KafkaError:
            return  # the consumer tells what is wrong

    @property
    def silent_since_s(self) -> float | None:
        """The time of the last word, s since 1970, where it is too long ago; else None."""
        return self._heard_s if time() - self._heard_s > self._silent_after_s else None
