"""CloudEvents 1.0 on POST /events: structured, in batches, and in headers.

Facts: the specification, and its HTTP binding.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from urllib.parse import unquote

from aiohttp.hdrs import CONTENT_TYPE

from app.errors import InvalidFieldError, MalformedJsonError
from app.events.event import MESSAGE_ID_MAX_BYTES
from web.ingest.dialects import Fields, ToFields, json_of, object_of, without_nothing

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
FAMILY = "application/cloudevents"
PREFIX = "ce-"
VERSION = "1.0"
REQUIRED = ("id", "source", "specversion", "type")
READ = (*REQUIRED, "time", "subject")  # and no others
JSON_ENDS = ("/json", "+json")

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')  # RFC 7230, 3.2.6
_ESCAPE = re.compile(r"\\(.)")


def dialect_of(headers: Mapping[str, str]) -> ToFields | None:
    """Return what maps the events of a request; None where they are no CloudEvents.

    Raises MalformedJsonError: CloudEvents in a format that is not read here.
    """
    kind = headers.get(CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind in {STRUCTURED, BATCH}:
        return structured
    if kind.startswith(FAMILY):
        raise MalformedJsonError(f"{kind} is not supported; send {STRUCTURED} or {BATCH}")
    if "ce-specversion" not in headers:
        return None
    found = {name: value for name in READ if (value := headers.get(f"{PREFIX}{name}")) is not None}
    return partial(binary, found, must_be_json=kind.endswith(JSON_ENDS))


def is_batch(headers: Mapping[str, str]) -> bool:
    """Whether the body is an array of events."""
    return headers.get(CONTENT_TYPE, "").lower().startswith(BATCH)


def structured(item: bytes) -> Fields:
    """Return our fields of an event whose attributes and data are one object."""
    event = object_of(item)
    return fields_of(event, event.get("data"))


def binary(headers: Mapping[str, str], body: bytes, *, must_be_json: bool) -> Fields:
    """Return our fields of an event whose attributes are headers, and whose data is the body.

    headers: by attribute, as they were sent.
    """
    attributes = {name: _decoded(name, value) for name, value in headers.items()}
    if not body.strip():
        return fields_of(attributes, None)
    try:
        return fields_of(attributes, json_of(body))
    except MalformedJsonError:
        if must_be_json:
            raise
        return fields_of(attributes, None)


def _decoded(name: str, value: str) -> str:
    """Return an attribute from its header; HTTP binding 1.0.2, 3.1.3.2."""
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPE.sub(r"\1", quoted[1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as exc:
        raise InvalidFieldError(f"{PREFIX}{name} is not percent-encoded UTF-8") from exc


def fields_of(event: Fields, data: object) -> Fields:
    """Return our fields of an event; data that is no object is not kept."""
    for name in REQUIRED:
        value = event.get(name)
        if not isinstance(value, str) or not value:
            raise InvalidFieldError(f"the CloudEvent has no {name}")
    if event["specversion"] != VERSION:
        raise InvalidFieldError(f"specversion is not {VERSION}")
    return without_nothing(
        {
            "type": event["type"],
            "message_id": message_id(event["source"], event["id"]),
            "timestamp": event.get("time"),
            "url": event.get("subject"),
            "properties": data if isinstance(data, dict) else None,
        }
    )


def message_id(source: str, event_id: str) -> str:
    """Return what is unique of an event; a source, being a URI, has no space in it."""
    text = f"{source} {event_id}"
    if len(text.encode("utf-8", "surrogatepass")) <= MESSAGE_ID_MAX_BYTES:
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
