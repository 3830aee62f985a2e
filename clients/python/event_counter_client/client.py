"""The client: takes events at once, and sends them in the background."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import Any, Literal, Optional, Union

from event_counter_client.encoding import EncodingError, Entry, Fields, MessageIds
from event_counter_client.posting import Connection
from event_counter_client.sender import OnError, Sender
from event_counter_client.spool import Spool
from event_counter_client.waiting import Memory, Waiting

CLOSE_S, ABORT_S = 10.0, 2.0


@dataclass(frozen=True)
class Stats:
    """What became of the events of a client.

    waiting: not answered yet. accepted, rejected: by the server. dropped: there was no room.
    lost: given up by close(). retries: requests that were sent again. problem: why, now.
    """

    waiting: int
    accepted: int
    rejected: int
    dropped: int
    lost: int
    retries: int
    problem: str


class Client:
    """Sends events to a faust-event-counter; for any number of threads, and for asyncio.

    url: of the server, a base path included. write_key: where the server asks for one.
    queue_events: how many may wait, in memory or in the spool. when_full: "drop" counts an
    event and forgets it, "block" makes send() wait. spool: a folder that events are kept in until
    they are acknowledged. linger_s: how long an event waits for others to share its request.
    timeout_s: of one request. on_error: called with a Rejected for each event that is refused or
    given up, by the client's thread.
    Raises ValueError for an address that is none, SpoolError for a spool that cannot be used.
    """

    def __init__(  # noqa: PLR0913 - options, by name
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        write_key: str = "",
        queue_events: int = 100_000,
        when_full: Literal["drop", "block"] = "drop",
        spool: Union[str, Path, None] = None,
        linger_s: float = 0.2,
        timeout_s: float = 10.0,
        on_error: Optional[OnError] = None,
        ssl_context: Optional[SSLContext] = None,
    ) -> None:
        if when_full not in ("drop", "block"):
            raise ValueError(f'when_full is {when_full!r}: give "drop" or "block"')
        self._wait_s = 0.0 if when_full == "drop" else None
        self._spool = spool
        self._connect = partial(Connection, url, write_key, timeout_s, ssl_context)
        self._shape = (queue_events, linger_s, on_error)
        self._begin()
        _clients.add(self)

    def _begin(self) -> None:
        """Make queue and sender, of this process; its thread starts with the first event."""
        max_events, linger_s, on_error = self._shape
        store = Spool(self._spool) if self._spool else Memory()
        self._waiting = Waiting(store, max_events, linger_s)
        self._connection = self._connect()
        self._sender = Sender(self._waiting, self._connection, on_error, keep=bool(self._spool))
        self._lock = threading.Lock()
        self._ids = MessageIds()
        self._dropped = 0
        self._open = self._closed = self._forked = False  # open: the thread runs
        if self._waiting.count:  # of a process that was killed
            self._start()

    def send(self, type: str, url: Optional[str] = None, **fields: Any) -> bool:  # noqa: A002
        """Queue an event; return whether it was: not where there is no room.

        fields: those of the server's events (user_id, session_id, value, properties …). timestamp
        is now, message_id a new one, unless given. Raises RuntimeError once the client is closed.
        """
        if self._is_dropped():
            return False
        return self._put(self._entry(type, url, fields), self._wait_s)

    async def asend(self, type: str, url: Optional[str] = None, **fields: Any) -> bool:  # noqa: A002
        """As send(); where it has to wait for room, the event loop goes on."""
        if self._is_dropped():
            return False
        entry = self._entry(type, url, fields)
        if self._wait_s is None and not self._waiting.has_room():
            return await asyncio.to_thread(self._put, entry, None)
        return self._put(entry, self._wait_s)

    def flush(self, timeout_s: Optional[float] = None) -> bool:
        """Send at once; return whether all events so far were answered within so many s."""
        return self._waiting.flush(timeout_s)

    async def aflush(self, timeout_s: Optional[float] = None) -> bool:
        """As flush(), in asyncio."""
        return await asyncio.to_thread(self.flush, timeout_s)

    def close(self, timeout_s: Optional[float] = CLOSE_S) -> None:
        """Send what waits and stop; after so many s what is left is lost, or stays in the spool.

        The end of the interpreter does it, too; a signal that ends the process does not.
        """
        with self._lock:
            if self._closed:
                return
            was_open, self._open, self._closed = self._open, False, True
        _clients.discard(self)
        self._sender.deadline.give(timeout_s)
        self._waiting.close()
        thread = self._sender.thread
        if was_open:
            thread.join(timeout_s)
            if thread.is_alive():
                self._connection.abort()
                thread.join(ABORT_S)
        if not thread.is_alive():
            self._waiting.end()

    async def aclose(self, timeout_s: Optional[float] = CLOSE_S) -> None:
        """As close(), in asyncio."""
        await asyncio.to_thread(self.close, timeout_s)

    def stats(self) -> Stats:
        """Return what became of the events so far."""
        sender = self._sender
        return Stats(
            waiting=self._waiting.count,
            accepted=sender.accepted,
            rejected=sender.rejected,
            dropped=self._dropped,
            lost=sender.lost,
            retries=sender.retries,
            problem=sender.problem,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _is_dropped(self) -> bool:
        """Whether there is no room, and nobody waits for it: then nothing is made of an event."""
        if self._wait_s is None or not self._open or self._waiting.has_room():
            return False
        with self._lock:
            self._dropped += 1
        return True

    def _entry(self, type_: str, url: Optional[str], fields: Fields) -> Entry:
        fields["type"] = type_
        if url is not None:
            fields["url"] = url
        if "message_id" not in fields:
            fields["message_id"] = self._ids.take()
        if "properties" in fields and isinstance(fields["properties"], dict):
            fields["properties"] = fields["properties"].copy()  # it is read later
        return fields, time.time_ns()

    def _put(self, entry: Entry, wait_s: Optional[float]) -> bool:
        if not self._open:
            self._start()
        try:
            if self._waiting.put(entry, wait_s):
                return True
        except EncodingError as exc:
            self._sender.reject([(entry, exc.code, str(exc))])
            return False
        except OSError as exc:
            self._sender.reject([(entry, "spool_failed", f"the spool cannot be written: {exc}")])
            return False
        with self._lock:
            self._dropped += 1
        return False

    def _start(self) -> None:
        with self._lock:
            if self._forked:
                raise RuntimeError("a spool belongs to one process: make a client after the fork")
            if self._closed:
                raise RuntimeError("the client is closed")
            if not self._open:
                self._sender.thread.start()
                self._open = True

    def _after_fork(self) -> None:
        """Begin anew in a child: what waits is its parent's to send, and so is a spool."""
        if self._spool:
            self._waiting.end()
            self._lock = threading.Lock()
            self._open, self._forked = False, True
        else:
            self._begin()


_clients: set[Client] = set()  # that are open; also keeps those whose owner forgot them


def _close_all() -> None:
    for client in list(_clients):
        client.close()


def _after_fork() -> None:
    for client in _clients:
        client._after_fork()  # noqa: SLF001 - ours


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
