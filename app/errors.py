"""Errors by meaning, each with the one code that HTTP answers, metrics and topics show.

RejectedError and below: the sender's fault, its neighbours go on. UnavailableError: passes by
itself, try again. StartError: the start stops with one line. Any other exception in an agent
stops the worker before anything is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


def reason(exc: BaseException) -> str:
    """Return what an exception says, in one line; the name of its class where it says nothing."""
    return " ".join(str(exc).split()) or type(exc).__name__


class CounterError(Exception):
    """Base of all errors with a code.

    code: stable, for machines. hint: what the reader does next. status: of the HTTP answer.
    """

    code: ClassVar[str] = "internal_error"
    hint: ClassVar[str] = "See the log of the worker."
    status: ClassVar[int] = 500
    retry_after_s: ClassVar[int | None] = None
    headers: ClassVar[Mapping[str, str]] = {}  # further ones of the HTTP answer

    def as_dict(self) -> dict[str, str]:
        """Return {"code", "message"}, the body of every error answer."""
        message = f"{self}. {self.hint}".encode("utf-8", "replace")  # a header may be no text
        return {"code": self.code, "message": message.decode()}


class RejectedError(CounterError):
    """An event that is not taken; status 400."""

    status = 400


class MalformedJsonError(RejectedError):
    """The bytes are not JSON in UTF-8."""

    code, hint = "malformed_json", "Send one JSON object, encoded in UTF-8."


class NotAnObjectError(RejectedError):
    """JSON, but not an object."""

    code, hint = "not_an_object", 'Send a JSON object such as {"type":"CLICK","url":"/a"}.'


class MissingTypeError(RejectedError):
    """No type under any of its accepted names."""

    code, hint = "missing_type", "Name the event's type, for example CLICK."


class InvalidFieldError(RejectedError):
    """A field of the wrong type, too long, or with a NUL character."""

    code, hint = "invalid_field", "See the table of fields in docs/reference/events.md."


class InvalidTimestampError(RejectedError):
    """A time that cannot be read, or before 1970."""

    code, hint = "invalid_timestamp", "Send e.g. 2024-03-15T14:30:00Z, or epoch seconds or ms."


class TimestampInFutureError(RejectedError):
    """More than a day later than the moment the event was received."""

    code, hint = "timestamp_in_future", "Check the clocks of sender and collector."


class TooLargeError(RejectedError):
    """An event over 32 KB."""

    code, hint, status = "too_large", "Send at most 32,768 bytes an event.", 413


class MalformedLineError(RejectedError):
    """A line of an access log that says no event."""

    code, hint = "malformed_line", "Give lines of the common or combined log format."
    in_format = False  # True: a line of it, whose client sent no HTTP


class WriteKeyError(RejectedError):
    """Events are sent without a write key that is known."""

    code, status = "unknown_write_key", 401
    hint = "Send one of EVENT_COUNTER_WRITE_KEYS, for example as Authorization: Bearer KEY."


class BadRequestError(CounterError):
    """A request that cannot be understood."""

    code, hint, status = "bad_request", "See docs/reference/http.md.", 400


class BodyTooLargeError(CounterError):
    """A request body over the limit."""

    code, hint, status = "body_too_large", "Split it into smaller requests.", 413


class RequestTimeoutError(CounterError):
    """A request body that takes too long to arrive."""

    code, hint, status = "request_timeout", "Send it again, faster or in smaller requests.", 408


class UnsupportedCodingError(CounterError):
    """A Content-Encoding that is not read here."""

    code, status = "unsupported_encoding", 415
    hint = "Send it as it is, or packed once by gzip or deflate."
    headers: ClassVar[Mapping[str, str]] = {"Accept-Encoding": "gzip, deflate"}


class ExpectationError(CounterError):
    """An Expect header that asks for more than 100-continue."""

    code, hint, status = "expectation_failed", "Leave Expect out, or send 100-continue.", 417


class HostNotAllowedError(CounterError):
    """Figures asked for under a name that is not this server's: DNS rebinding looks like that."""

    code, status = "host_not_allowed", 403
    hint = "Add the name to EVENT_COUNTER_HOSTS if it is this server's."


class OriginNotAllowedError(CounterError):
    """A call from a web page of an origin that may not make it."""

    code, status = "origin_not_allowed", 403
    hint = "Pages of other origins may send events only: see EVENT_COUNTER_ORIGINS."


class OutsideRetentionError(CounterError):
    """A window that the counter no longer keeps; it would be wrong to answer 0."""

    code, hint, status = "outside_retention", "Ask for a later time; see GET /counters.", 400


class UnauthorizedError(CounterError):
    """A figure is asked for without the read token."""

    code, hint, status = "unauthorized", "Send it as Authorization: Bearer TOKEN.", 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class NotFoundError(CounterError):
    """No such path, counter or thing."""

    code, hint, status = "not_found", "See docs/reference/http.md.", 404


class MethodNotAllowedError(CounterError):
    """The path exists, for other methods."""

    code, hint, status = "method_not_allowed", "See docs/reference/http.md.", 405


class UnavailableError(CounterError):
    """Something needed is away for now; status 503 with Retry-After."""

    code, hint, status = "unavailable", "Try again in a moment.", 503
    retry_after_s = 1


class KafkaUnavailableError(UnavailableError):
    """Kafka takes no events now; nothing of the request is stored."""

    code, hint = "kafka_unavailable", "No event is taken meanwhile; try again in a moment."


class NotAcknowledgedError(KafkaUnavailableError):
    """Kafka did not acknowledge in time; the event may or may not be stored."""

    hint = (
        "It may or may not be stored: sent again with the same message_id it counts once, without "
        "one perhaps twice."
    )


class RecoveringError(UnavailableError):
    """The worker that owns the key is not ready to answer."""

    code, hint = "recovering", "The tables are being restored; try again in a moment."


class BehindError(UnavailableError):
    """The tables do not hold yet what min_position asks for."""

    code, hint = "behind", "Ask again in a moment, or with a longer wait=."


class PostgresUnavailableError(UnavailableError):
    """Postgres does not take the transaction for now; whether it was committed is not known."""

    code, hint = "postgres_unavailable", "It is tried again until Postgres is back."


class RedisUnavailableError(UnavailableError):
    """Redis did not answer in time, or refused."""

    code, hint = "redis_unavailable", "It is written again when Redis is back."


class ArchiveBusyError(UnavailableError):
    """Another process changes or reads the files of the archive."""

    code, hint = "archive_busy", "Try again when it has ended."


class OverloadedError(CounterError):
    """More is waiting than the worker takes; status 429 with Retry-After."""

    code, hint, status = "overloaded", "Slow down and send again.", 429
    retry_after_s = 1


class RowRefusedError(CounterError):
    """Postgres takes no row of this kind, however often it is tried: a fault of ours."""

    code, hint = "row_refused", "Please report it; nothing was stored or committed."


class HoleError(CounterError):
    """Records between what is stored and the batch at hand were never given to the store.

    stored: the next offset to store, -1 for none yet.
    """

    code, hint = "hole", "Reset the offset of the store's consumer group to the first of the two."

    def __init__(self, message: str, stored: int) -> None:
        super().__init__(message)
        self.stored = stored


class SqlMissingError(CounterError):
    """The package was installed without its SQL files."""

    code, hint = "sql_missing", "Install event-counter again."


class StartError(CounterError):
    """The start cannot go on; the command line prints it in one line and exits with 1."""

    code, hint = "start_failed", ""


class BusyError(StartError):
    """Another command is at work on what this one must have for itself."""


class SettingsError(StartError):
    """A setting is unknown or has a bad value."""

    code, hint = "bad_setting", "All settings: event-counter settings."


class CountersChangedError(StartError):
    """Other counters are declared than this worker counts; it ends, and is started with them."""

    code, hint = "counters_changed", "Start it again."


class KafkaAccessError(StartError):
    """Kafka is there and refuses: certificate, user, password, or a right that is missing."""

    code, hint = "kafka_refuses", "See docs/operating/managed-kafka.md."


class QueryError(StartError):
    """SQL that cannot be run."""

    code, hint = "bad_query", "The views are archive and enriched; only SELECT is allowed."


REJECT_CODES = tuple(
    error.code
    for error in (
        MalformedJsonError,
        NotAnObjectError,
        MissingTypeError,
        InvalidFieldError,
        InvalidTimestampError,
        TimestampInFutureError,
        TooLargeError,
    )
)
