"""What each call takes and answers, for web.http.openapi."""

from __future__ import annotations

from app.events.looked_at import FIELDS
from web.http import paths
from web.http.openapi_event import PLAUSIBLE_EVENT
from web.http.openapi_schemas import (
    AMOUNTS,
    BOOLEAN,
    HTML,
    NUMBER,
    OBJECT,
    STRING,
    TIME,
    WHOLE,
    Details,
    an,
    array,
    figures,
    given,
    header,
    json,
    or_null,
    ref,
    text,
)
from web.http.paths import Call

WINDOW = given("window", {"type": "integer", "minimum": 1}, "Seconds, at most 31 days.")
AT = given("at", TIME, "The moment to ask about; default: now.")
LIMIT = given("limit", {"type": "integer", "minimum": 1}, "The maximum number.")
MONTH = given("month", {"type": "string", "pattern": r"^\d{4}-\d{2}$"}, "UTC, such as 2026-11.")
FROM = given("from", TIME, "The first moment.")
TO = given("to", TIME, "The end; it is not included.")
KEY = given("key", STRING, "The counted key, for example a url.")
BY = given("by", {"enum": ["1h", "1d"]}, "Hours or days instead of the counter's windows.")
ZONE = given("tz", STRING, "Time zone of hours and days, such as Europe/Berlin.")
LABEL = given("label", STRING, "Only the counts of this label, for example a type.")
PREFIX = given("prefix", STRING, "What the keys begin with.")
AFTER = given("after", STRING, "Only keys after this one: next of the previous page.")
PAGE = Details({"200": text(HTML)})
UMAMI_CACHE = header("x-umami-cache", "The cache of the previous answer; it is the session_id.")
FORMAT = given("format", {"enum": ["json", "csv"]}, "Default: json.")

SUCCESS = an(
    {"success": BOOLEAN, "rejected": WHOLE, "errors": array(ref("Fault"))}, "rejected", "errors"
)
AD = {"month": STRING, "impressions": WHOLE, "visitors": WHOLE, "final": BOOLEAN}
PAGES = array(an({"page": STRING, "views": WHOLE}))
EVENT_TYPES = array(an({"type": STRING, "count": WHOLE}))
WINDOW_COUNTS = an({"start": TIME, "counts": AMOUNTS, "error": NUMBER}, "error")
COUNTED = {
    "counter": STRING,
    "key": STRING,
    "windows": array(WINDOW_COUNTS),
    "total": AMOUNTS,
    "error": NUMBER,
}
TOP_KEY = an({"key": STRING, "value": NUMBER, "error": NUMBER}, "error")
ANY_JSON = json(OBJECT)

DETAILS: dict[Call, Details] = {
    paths.EVENT_GENERATE: Details({"200": text()}, body=json(ref("AnyEvent"))),
    paths.TRACK: Details(
        {
            "200": json(an({"detail": STRING})),
            "400": json({"anyOf": [an({"detail": STRING}), ref("Error")]}),
        },
        [header("X-Token", "The token of EVENT_COUNTER_TOKEN.", required=True)],
        json(ref("AnyEvent")),
    ),
    paths.ADS: Details({"200": text()}, body=json(ref("AnyEvent"))),
    paths.EVENTS: Details(
        {
            "200": json(
                an(
                    {
                        "accepted": WHOLE,
                        "rejected": WHOLE,
                        "errors": array(ref("Fault")),
                        "position": or_null(STRING),
                    },
                    "position",
                )
            )
        },
        [
            header(f"ce-{name}", f"The {name} of a CloudEvent whose data is the body.")
            for name in ("specversion", "id", "source", "type", "time", "subject")
        ],
        {
            **json({"anyOf": [ref("AnyEvent"), array(ref("AnyEvent"))]}),
            **text("application/x-ndjson"),
            "application/cloudevents+json": {"schema": ref("CloudEvent")},
            "application/cloudevents-batch+json": {"schema": array(ref("CloudEvent"))},
        },
    ),
    paths.PIXEL: Details(
        {"200": {"image/gif": {}}},
        [
            given("type", STRING, "The type of the event.", required=True),
            given("url", STRING, "Its url. Other fields and properties.NAME may be given, too."),
        ],
    ),
    paths.SEGMENT_BATCH: Details(
        {"200": json(SUCCESS)},
        body=json(an({"batch": array(OBJECT), "writeKey": or_null(STRING)}, "writeKey")),
    ),
    paths.SEGMENT: Details({"200": json(SUCCESS)}, body=ANY_JSON),
    paths.SEGMENT_SETTINGS: figures(an({"integrations": OBJECT})),
    paths.PLAUSIBLE: Details(
        {"202": text()},
        body=json(PLAUSIBLE_EVENT),
    ),
    paths.UMAMI: Details(
        {"200": json(an({"cache": STRING, "sessionId": STRING, "visitId": STRING}))},
        [UMAMI_CACHE],
        json(an({"type": {"enum": ["event", "identify"]}, "payload": OBJECT})),
    ),
    paths.UMAMI_BATCH: Details(
        {
            "200": json(
                an(
                    {
                        "size": WHOLE,
                        "processed": WHOLE,
                        "errors": WHOLE,
                        "details": array(ref("Fault")),
                    }
                )
            )
        },
        [UMAMI_CACHE],
        json(array(OBJECT)),
    ),
    paths.EVENT_TRACK: Details(
        {"200": json(an({"url": STRING, "events": EVENT_TYPES}))}, body=json(an({"url": STRING}))
    ),
    paths.EVENT_REPORT: Details(
        {
            "200": json(
                an(
                    {
                        "url": STRING,
                        "date": STRING,
                        "dateHourEventCounts": array(
                            an({"datehour": WHOLE, "eventCounts": EVENT_TYPES})
                        ),
                    }
                )
            )
        },
        body=json(
            an(
                {
                    "url": STRING,
                    "date": {"type": "string", "format": "date"},
                    "tz": or_null(STRING),
                },
                "tz",
            )
        ),
    ),
    paths.COUNTS: Details(
        {"200": {**json(an(COUNTED, "error")), **text("text/csv")}},
        [KEY, FROM, TO, BY, ZONE, FORMAT],
    ),
    paths.TOP_KEYS: Details(
        {
            "200": {
                **json(an({"counter": STRING, "keys": array(TOP_KEY)})),
                **text("text/csv"),
            }
        },
        [LIMIT, FROM, TO, AT, LABEL, FORMAT],
    ),
    paths.KEYS: Details(
        {
            "200": {
                **json(an({"counter": STRING, "keys": array(STRING), "next": or_null(STRING)})),
                **text("text/csv"),
            }
        },
        [PREFIX, LIMIT, AFTER, FORMAT],
    ),
    paths.TRACE: figures(
        an(
            {
                "position": STRING,
                "state": {"enum": ["waiting", "counted", "bot", "duplicate", "rejected"]},
                "code": or_null(STRING),
                "event": or_null(OBJECT),
                "received_at": TIME,
                "stored": BOOLEAN,
                "counted_in": array(
                    an({"counter": STRING, "key": STRING, "label": STRING, "start": or_null(TIME)})
                ),
            }
        )
    ),
    paths.COUNTERS: figures(
        array(
            an(
                {
                    "name": STRING,
                    "window": or_null(WHOLE),
                    "retention": or_null(WHOLE),
                    "key": STRING,
                    "label": STRING,
                    "description": STRING,
                }
            )
        )
    ),
    paths.TOP_PAGES: figures(an({"window_s": WHOLE, "pages": PAGES}), LIMIT, WINDOW, AT),
    paths.BOTS: figures(
        an(
            {
                "window_s": WHOLE,
                "dropped": WHOLE,
                "users": array(an({"user_id": STRING, "dropped": WHOLE})),
            }
        ),
        LIMIT,
        WINDOW,
        AT,
    ),
    paths.PAGE_VIEWS: figures(
        an({"website": STRING, "views": WHOLE, "pages": PAGES}),
        given("website", STRING, "Such as google.com.", required=True),
        LIMIT,
        AT,
    ),
    paths.SESSIONS: figures(
        an(
            {
                "user_id": STRING,
                "active_sessions": WHOLE,
                "sessions": array(
                    an(
                        {
                            "session_id": STRING,
                            "first_seen": TIME,
                            "last_seen": TIME,
                            "events": WHOLE,
                        }
                    )
                ),
            }
        ),
        WINDOW,
        AT,
    ),
    paths.ACTIVE_USERS: figures(
        an({"window_s": WHOLE, "active_users": WHOLE, "error": NUMBER}), WINDOW, AT
    ),
    paths.ALL_ADS: figures(an(AD), MONTH, AT),
    paths.ONE_AD: figures(
        an(
            {
                **AD,
                "ad_id": STRING,
                "clicks": WHOLE,
                "counted_clicks": array(an({"website": STRING, "count": WHOLE})),
            }
        ),
        MONTH,
        AT,
    ),
    paths.RATES: figures(
        an(
            {
                "window_s": WHOLE,
                **dict.fromkeys(("received", "counted", "stored", "rejected"), or_null(NUMBER)),
                "lag": OBJECT,
            }
        )
    ),
    paths.REJECTED: figures(an({"rejected": array(OBJECT)}), LIMIT),
    paths.ALERTS: figures(an({"alerts": array(OBJECT)}), LIMIT),
    paths.TAIL: Details(
        {"200": text("text/event-stream")},
        [given(name, STRING, f"Only events with this {name}.") for name in FIELDS],
    ),
    paths.STREAM: Details({"200": text("text/event-stream")}),
    **dict.fromkeys((paths.DASHBOARD, paths.EXPLORE, paths.GENERATOR), PAGE),
    paths.TRACKER: Details({"200": text("text/javascript")}),
    paths.STATIC: Details({"200": {"*/*": {}}}),
    paths.OPENAPI: figures(OBJECT),
    paths.HEALTH: figures(an({"status": STRING})),
    paths.READY: figures(an({"status": STRING, "away_since": OBJECT}, "away_since")),
    paths.METRICS: Details({"200": text()}),
}
