"""Quix Streams: group_by and a tumbling window, one counter. Runs in an environment of its own."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any

from quixstreams import Application


class Watch:
    """Says when the first event came in, and when the last was counted."""

    def __init__(self, events: int) -> None:
        self._events, self._counted, self._began = events, 0, False

    def begin(self, _event: Any) -> None:
        """See an event that comes in."""
        if not self._began:
            self._began = True
            print(json.dumps({"began": time.time()}), flush=True)

    def count(self, _window: Any) -> None:
        """See an update of a window."""
        self._counted += 1
        if self._counted == self._events:
            print(json.dumps({"counted_at": time.time()}), flush=True)


def run(kafka: str, topic: str, group: str, events: int, folder: str) -> None:
    """Count until stopped."""
    app = Application(
        broker_address=kafka,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=folder,
        loglevel="WARNING",
    )
    watch = Watch(events)
    frame = app.dataframe(app.topic(topic, value_deserializer="json"))
    frame = frame.update(watch.begin)
    frame = frame.group_by(lambda event: f"{event['url']}|{event['type']}", name="by_url")
    frame = frame.tumbling_window(timedelta(hours=1)).count().current()
    frame.update(watch.count)
    app.run()


if __name__ == "__main__":
    run(**json.loads(sys.argv[1]))
