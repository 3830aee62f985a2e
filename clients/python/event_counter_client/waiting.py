"""The queue between those who send events and the thread that posts them."""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import islice
from typing import Optional, Protocol

from event_counter_client.encoding import Entry

BATCH_EVENTS = 500


class Store(Protocol):
    """Events in the order they came: in memory, or in a spool on disk; count: of all of them."""

    count: int

    def append(self, entry: Entry) -> None:
        """Keep an event; raise OSError or EncodingError where it cannot be kept."""

    def first(self, events: int) -> list[Entry]:
        """Return the oldest events, so many at most."""

    def remove(self, entries: list[Entry]) -> None:
        """Forget what first() returned."""

    def close(self) -> None:
        """Close files."""


class Memory:
    """Events in memory."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self.count = 0

    def append(self, entry: Entry) -> None:
        """Keep an event."""
        self._entries.append(entry)
        self.count += 1

    def first(self, events: int) -> list[Entry]:
        """Return the oldest events."""
        return list(islice(self._entries, events))

    def remove(self, entries: list[Entry]) -> None:
        """Forget the oldest events."""
        for _ in entries:
            self._entries.popleft()
        self.count -= len(entries)

    def close(self) -> None:
        """Do nothing."""


class Waiting:
    """Bounded; put() by any thread, take() and settle() by one.

    The thread that takes is woken only when there is something to do for it: to wake it for each
    event would cost the sender of the event more than all the rest.
    """

    def __init__(self, store: Store, max_events: int, linger_s: float) -> None:
        self._store, self._max, self._linger_s = store, max_events, linger_s
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)  # take() waits here
        self._settled = threading.Condition(self._lock)  # flush() and a full put() wait here
        self._puts = store.count
        self._settles = 0
        self._hurry_to = store.count  # events up to here do not wait for company
        self._wake_at = 1  # events in the store for which take() is to wake
        self._closing = False

    @property
    def count(self) -> int:
        """Events that wait, those on their way included."""
        return self._store.count

    def has_room(self) -> bool:
        """Whether put() would not have to wait, as far as one can know."""
        return self._store.count < self._max

    def put(self, entry: Entry, wait_s: Optional[float]) -> bool:
        """Queue an event; return False where there is no room within so many s (None: for ever).

        Raises OSError and EncodingError: the spool cannot keep it.
        """
        store = self._store
        with self._lock:
            if store.count >= self._max and not self._wait_for_room(wait_s):
                return False
            if self._closing:
                return False
            store.append(entry)
            self._puts += 1
            if store.count == self._wake_at:
                self._filled.notify()
        return True

    def _wait_for_room(self, wait_s: Optional[float]) -> bool:
        return self._settled.wait_for(lambda: self._closing or self.has_room(), wait_s)

    def take(self) -> list[Entry]:
        """Return the next batch, once it is full or has waited; empty: closed, nothing is left."""
        store = self._store
        with self._lock:
            self._wake_at = 1
            self._filled.wait_for(lambda: store.count or self._closing)
            self._wake_at = BATCH_EVENTS
            self._filled.wait_for(self._is_due, self._linger_s)
            return store.first(BATCH_EVENTS)

    def _is_due(self) -> bool:
        full = self._store.count >= BATCH_EVENTS
        return full or self._closing or self._settles < self._hurry_to

    def settle(self, entries: list[Entry]) -> None:
        """Forget a batch: it was answered, or given up."""
        with self._lock:
            self._store.remove(entries)
            self._settles += len(entries)
            self._settled.notify_all()

    def flush(self, timeout_s: Optional[float]) -> bool:
        """Return whether all that was put so far is settled, at the latest after so many s."""
        with self._lock:
            target = self._hurry_to = self._puts
            self._filled.notify()
            return self._settled.wait_for(lambda: self._settles >= target, timeout_s)

    def close(self) -> None:
        """Take no more events."""
        with self._lock:
            self._closing = True
            self._filled.notify_all()
            self._settled.notify_all()

    def end(self) -> None:
        """Close the files; nobody takes any more."""
        self._store.close()


class Deadline:
    """A moment that close() sets, and that the sender's pauses end at."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._at = float("inf")

    def give(self, seconds: Optional[float]) -> None:
        """Set it, so many s from now; None: there is none."""
        self._at = float("inf") if seconds is None else time.monotonic() + seconds
        self._set.set()

    def is_over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._at

    def pause(self, seconds: float) -> bool:
        """Sleep; return whether there is time left for another try."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < min(until, self._at):
            # Once it is set, the event would end each wait at once.
            if self._set.is_set():
                time.sleep(min(until, self._at) - now)
            else:
                self._set.wait(until - now)
        return not self.is_over()
