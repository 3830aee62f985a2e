"""What many calls take and answer alike, for web.http.openapi: headers, keys, schemas."""

from __future__ import annotations

from app.events.event import MESSAGE_ID_MAX_BYTES
from web.http import paths
from web.http.bodies import CODINGS
from web.http.openapi_event import CLOUD_EVENT, EVENT, OTHER_SHAPES
from web.http.openapi_schemas import (
    STRING,
    TIME,
    WHOLE,
    JsonSchema,
    an,
    given,
    header,
    ref,
)
from web.http.paths import Call, Kind

POSITION = given("position", {"const": "1"}, "1: return X-Event-Position.")
MIN_POSITION = given(
    "min_position",
    {"type": "string", "pattern": r"^\d{1,5}:\d{1,18}(,\d{1,5}:\d{1,18})*$"},
    "An X-Event-Position: the tables must include everything below it, else 503 behind.",
)
WAIT = given(
    "wait",
    {"type": "number", "minimum": 0, "maximum": 10},
    "Seconds to wait for min_position; default: 0.",
)
CONTENT_ENCODING = header(
    "Content-Encoding",
    "How the body is packed.",
    {"enum": [*CODINGS, "identity"]},
)
IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "The message_id of an event that has none (K:i for item i of POST /events), so that a retry "
    f"counts once. In UTF-8 at most {MESSAGE_ID_MAX_BYTES} bytes, with the :i.",
    {"type": "string", "maxLength": MESSAGE_ID_MAX_BYTES},
)
# Batches of other clients have an id in each event.
TAKE_IDEMPOTENCY_KEY = {
    paths.EVENT_GENERATE,
    paths.TRACK,
    paths.ADS,
    paths.EVENTS,
    paths.SEGMENT,
    paths.PLAUSIBLE,
    paths.UMAMI,
}

ERROR: JsonSchema = {
    "description": "An error. 429 and 503 are temporary and have a Retry-After.",
    "headers": {"Retry-After": {"description": "Seconds to wait.", "schema": WHOLE}},
    "content": {"application/json": {"schema": ref("Error")}},
}
EVENT_POSITION = {
    "description": "With position=1: P:O[,P:O...], per partition the offset after the last event.",
    "schema": STRING,
}
AS_OF = {
    "description": "Only while no worker can reach Kafka: when it last answered.",
    "schema": TIME,
}

SECURITY_SCHEMES: JsonSchema = {
    "read_token": {"type": "http", "scheme": "bearer"},
    "write_key": {"type": "http", "scheme": "bearer"},
    "write_key_as_user": {"type": "http", "scheme": "basic"},
    "write_key_as_parameter": {"type": "apiKey", "in": "query", "name": "write_key"},
}
# {}: where none is set, none is asked for.
SECURITY: dict[Kind, list[JsonSchema]] = {
    Kind.EVENTS: [{}, *({name: []} for name in SECURITY_SCHEMES if name.startswith("write_key"))],
    Kind.FIGURES: [{}, {"read_token": []}],
}

COMPONENTS: JsonSchema = {
    "schemas": {
        "Event": EVENT,
        "AnyEvent": {"anyOf": [ref("Event"), OTHER_SHAPES]},
        "CloudEvent": CLOUD_EVENT,
        "Error": an({"code": STRING, "message": STRING}),
        "Fault": an({"index": WHOLE, "code": STRING, "message": STRING}),
    },
    "securitySchemes": SECURITY_SCHEMES,
}


def parameters(call: Call, *, has_body: bool) -> list[JsonSchema]:
    """Return the parameters that a call takes as others do."""
    found = [CONTENT_ENCODING] if has_body else []
    if call in TAKE_IDEMPOTENCY_KEY:
        found.append(IDEMPOTENCY_KEY)
    if call.takes_events:
        found.append(POSITION)
    if call.by_count or call in {paths.REJECTED, paths.ALERTS}:
        found += [MIN_POSITION, WAIT]
    return found


def answer_headers(call: Call) -> JsonSchema:
    """Return the headers of an answer that is no error."""
    if call.takes_events:
        return {"X-Event-Position": EVENT_POSITION}
    return {"X-Event-Counter-As-Of": AS_OF} if call.by_count else {}


def security(call: Call) -> list[JsonSchema]:
    """Return which keys open a call; POST /track has a token of its own, and asks for no key."""
    return [] if call is paths.TRACK else SECURITY.get(call.kind, [])
