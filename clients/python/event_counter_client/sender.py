"""The thread that posts what waits."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Optional

from event_counter_client.encoding import EncodingError, Entry, to_fields, to_line
from event_counter_client.posting import Connection, Failed, Refused, Taken
from event_counter_client.waiting import Deadline, Waiting

log = logging.getLogger("event_counter_client")

BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.2, 30.0
WARN_EVERY_S = 60.0
NOT_SENT = "not_sent"  # the code of what was given up when the client closed


@dataclass(frozen=True)
class Rejected:
    """An event that was not counted; code and message are the server's, or say what happened here.

    event: as it was sent; its message_id and timestamp included.
    """

    event: dict[str, Any]
    code: str
    message: str


OnError = Callable[[Rejected], None]
Fault = tuple[Entry, str, str]  # code, message


class Sender:
    """Posts batches in the order they came, each until the server has judged it.

    keep: what is left when the deadline has passed stays where it is, for the next client.
    """

    def __init__(
        self, waiting: Waiting, connection: Connection, on_error: Optional[OnError], *, keep: bool
    ) -> None:
        self._waiting, self._connection = waiting, connection
        self._on_error, self._keep = on_error, keep
        self.deadline = Deadline()
        self.accepted = self.rejected = self.lost = self.retries = 0
        self.problem = ""
        self._lock = threading.Lock()
        self._silent_until: dict[str, float] = {}
        self.thread = threading.Thread(target=self._run, name="event-counter-client", daemon=True)

    def _run(self) -> None:
        while entries := self._take():
            if not self._deliver(self._good(entries)) and self._keep:
                break
            self._waiting.settle(entries)
        self._connection.close()

    def _take(self) -> list[Entry]:
        """Return the next batch; a spool that cannot be read is tried again."""
        while True:
            try:
                return self._waiting.take()
            except OSError as exc:
                self._change_problem(f"the spool cannot be read: {exc}")
                if not self.deadline.pause(BACKOFF_MAX_S):
                    return []

    def _good(self, entries: list[Entry]) -> list[bytes]:
        """Return the JSON of all events that have one."""
        lines = []
        for entry in entries:
            try:
                lines.append(to_line(entry))
            except EncodingError as exc:
                self.reject([(entry, exc.code, str(exc))])
        return lines

    def _deliver(self, lines: list[bytes]) -> bool:
        """Post until the events are judged; return False where the deadline passed before."""
        pause_s = BACKOFF_FIRST_S
        while lines and not self.deadline.is_over():
            outcome = self._connection.post(lines)
            if not isinstance(outcome, Failed):
                self._change_problem("")
            if isinstance(outcome, Taken):
                with self._lock:
                    self.accepted += len(lines) - len(outcome.errors)
                self.reject([(lines[at], code, message) for at, code, message in outcome.errors])
                return True
            if isinstance(outcome, Refused):
                if outcome.too_large and (half := len(lines) // 2):
                    done = self._deliver(lines[:half])
                    return self._deliver(lines[half:]) and done
                self.reject([(line, outcome.code, outcome.message) for line in lines])
                return True
            self._change_problem(outcome.problem)
            self.retries += 1
            # Spread: all clients of a server that comes back would come at once.
            wait_s = max(outcome.retry_after_s, pause_s * random.uniform(0.5, 1.0))  # noqa: S311
            pause_s = min(pause_s * 2, BACKOFF_MAX_S)
            self.deadline.pause(wait_s)
        if lines and not self._keep:
            self.lost += len(lines)
            why = f"the client was closed before it was sent; {self.problem or 'no time was left'}"
            self._tell([(line, NOT_SENT, why) for line in lines])
        return not lines

    def reject(self, faults: list[Fault]) -> None:
        """Count events that were refused, and tell of them."""
        with self._lock:  # the thread of a caller comes here, too
            self.rejected += len(faults)
        self._tell(faults)

    def _tell(self, faults: list[Fault]) -> None:
        for entry, code, message in faults:
            if self._on_error is None:
                self._warn(code, message)
                continue
            try:
                self._on_error(Rejected(to_fields(entry), code, message))
            except Exception:  # the caller's own code; the events behind it are to be sent
                log.exception("on_error failed")

    def _warn(self, code: str, message: str) -> None:
        """Log a fault, but of each code only one a minute."""
        now = time.monotonic()
        if now >= self._silent_until.get(code, 0.0):
            self._silent_until[code] = now + WARN_EVERY_S
            log.warning("an event was not counted: %s: %s", code, message)

    def _change_problem(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("events wait: %s", problem)
        elif self.problem and not problem:
            log.info("events are sent again")
        self.problem = problem
