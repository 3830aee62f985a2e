"""Splits the body of POST /events into its events: one object, a JSON array, or NDJSON."""

from __future__ import annotations

import msgspec

from app.errors import BodyTooLargeError, MalformedJsonError

ITEMS_MAX = 100_000  # of one body; as the smallest events possible they have over 1 MB

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def split_body(body: bytes) -> list[bytes]:
    """Return the JSON text of each event, not yet checked; blank lines are skipped.

    The content decides, whatever Content-Type says: an array begins with a bracket, what is one
    JSON value is one event, all else is taken line by line.
    Raises MalformedJsonError: an array that is cut or malformed, a body that is no JSON at all, or
    an empty one. Raises BodyTooLargeError over ITEMS_MAX.
    """
    start = body.lstrip(b" \t\r\n")[:1]
    if not start:
        raise MalformedJsonError("the body is empty")
    if start == b"[":
        return _checked([bytes(item) for item in _array(body)])
    try:
        _decode_raw(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) == 1:
            raise MalformedJsonError(f"not JSON: {exc}") from exc
        return _checked(lines)
    return [body]


def _array(body: bytes) -> list[msgspec.Raw]:
    try:
        return _decode_items(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedJsonError(f"not a JSON array: {exc}") from exc


def _checked(items: list[bytes]) -> list[bytes]:
    if len(items) > ITEMS_MAX:
        raise BodyTooLargeError(f"the body has {len(items)} events, more than {ITEMS_MAX}")
    return items
