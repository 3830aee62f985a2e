"""The schemas of events. Ours is what app.events.shapes takes, more than its fast path.

JSON Schema counts characters, the server bytes in UTF-8. A text has no more characters than bytes,
so a limit with the same number refuses nothing that is taken; the description says what counts.
"""

from __future__ import annotations

from app.events.event import (
    MESSAGE_ID_MAX_BYTES,
    REFERRER_MAX_BYTES,
    TYPE_MAX_BYTES,
    URL_MAX_BYTES,
    USER_AGENT_MAX_BYTES,
)
from web.http.openapi_schemas import NUMBER, OBJECT, STRING, TIME, WHOLE, JsonSchema, an, or_null

BYTES = "{:,} bytes in UTF-8"


def _field(about: str, *kinds: JsonSchema) -> JsonSchema:
    """Return a field that may be left out; null says the same."""
    return {**or_null(*kinds), "description": about}


def _text(about: str, most_bytes: int | None = None) -> JsonSchema:
    """Return a text. Integers are taken, too, as their decimal text."""
    if most_bytes is None:
        return _field(about, STRING, WHOLE)
    about = f"{about} At most {BYTES.format(most_bytes)}."
    return _field(about, {**STRING, "maxLength": most_bytes}, WHOLE)


def _time(about: str) -> JsonSchema:
    text = "RFC 3339, also with UTC at its end or without a zone (UTC); epoch seconds or ms."
    return _field(f"{about} {text}", TIME, STRING, NUMBER)


def _cut(about: str, most_bytes: int) -> JsonSchema:
    """Return a text that may be longer than what is kept of it."""
    return _text(f"{about} The first {BYTES.format(most_bytes)} are kept.")


FIELDS: dict[str, JsonSchema] = {
    "type": {
        "type": "string",
        "minLength": 1,
        "maxLength": TYPE_MAX_BYTES,
        "description": f"What happened. At most {BYTES.format(TYPE_MAX_BYTES)}.",
    },
    "url": _text("The url, as sent.", URL_MAX_BYTES),
    "timestamp": _time("When it happened; when it was received without it."),
    "user_id": _text("Who."),
    "session_id": _text("The session."),
    "ip": _text("Free text."),
    "uuid": _text("Free text; made where there is none."),
    "received_at": _time("Set by the server."),
    "ad_id": _text("The ad."),
    "app_name": _text("The app or website."),
    "product_id": _text("The product."),
    "category": _text("The category."),
    "value": _field("Kept as a 64-bit float.", NUMBER),
    "message_id": _text("The same in every retry; empty: none.", MESSAGE_ID_MAX_BYTES),
    "referrer": _cut("The page that led here.", REFERRER_MAX_BYTES),
    "user_agent": _cut("The sender's browser or program.", USER_AGENT_MAX_BYTES),
    "properties": _field("Kept as it is.", OBJECT),
}
EVENT: JsonSchema = {
    **an(FIELDS, *(name for name in FIELDS if name != "type")),
    "description": "An event with the field names under which it is stored.",
}
OTHER_SHAPES: JsonSchema = {
    **OBJECT,
    "description": "An event of the shapes clickstream, ads, analytics or app.",
}
CLOUD_EVENT = an(
    {
        "specversion": {"const": "1.0"},
        "id": STRING,
        "source": STRING,
        "type": STRING,
        "time": or_null(TIME),
        "subject": or_null(STRING),
        "data": {},
    },
    *("time", "subject", "data"),
)
_PROPS = or_null(OBJECT, STRING)  # older scripts send them as text of JSON
PLAUSIBLE_EVENT: JsonSchema = {
    "anyOf": [
        an(
            {"name": STRING, "url": STRING, "domain": STRING, "props": _PROPS},
            *("url", "domain", "props"),
        ),
        an({"n": STRING, "u": STRING, "d": STRING, "p": _PROPS}, "u", "d", "p"),
    ]
}
