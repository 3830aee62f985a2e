"""GET /openapi.json: OpenAPI 3.1, made from web.http.paths, the one declaration of all calls.

A call is in it as soon as it is declared; web.http.openapi_calls says what it takes and answers,
beyond what follows from its declaration.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from aiohttp.web import Request, Response

from web.http import paths
from web.http.openapi_calls import DETAILS
from web.http.openapi_schemas import Details, JsonSchema
from web.http.openapi_shared import COMPONENTS, ERROR, answer_headers, parameters, security
from web.http.paths import CALLS, Call, Kind
from web.http.views import ApiView, json_response, page

VERSION = "3.1.0"
PACKAGE = "faust-event-counter"
TITLE = "faust-event-counter"
TEXT = (
    "Accepts events, counts them, and returns the counts. Every path is served with "
    "and without its final slash. Errors are an object with a stable `code` and a `message`."
)
TAGS = {
    Kind.EVENTS: ("events", "Takes events."),
    Kind.FIGURES: ("figures", "Returns figures; needs the read token if one is set."),
    Kind.PAGE: ("pages", "Pages, and files for browsers and tools."),
    Kind.PROBE: ("probes", "Health and metrics of a worker."),
}


def register(app: Any, base_path: str = "") -> None:
    """Add the view to the app of a collector; base_path: below which people call it."""
    made = document(base_path=base_path)

    @page(app, paths.OPENAPI)
    class OpenApi(ApiView):
        """GET -> this API as OpenAPI 3.1."""

        async def get(self, _request: Request) -> Response:
            return json_response(made)


def document(calls: Iterable[Call] = CALLS, base_path: str = "") -> JsonSchema:
    """Return the document; calls between workers are left out.

    base_path: of a proxy. All is served without it, too, but behind the proxy nobody gets there.
    """
    found: dict[str, JsonSchema] = {}
    for call in calls:
        if call.kind is not Kind.INTERNAL:
            found.setdefault(call.path, {})[call.method.lower()] = operation(call)
    return {
        "openapi": VERSION,
        "info": {"title": TITLE, "version": version(PACKAGE), "description": TEXT},
        "servers": [{"url": base_path or "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.values()],
        "paths": found,
        "components": COMPONENTS,
    }


def operation(call: Call) -> JsonSchema:
    """Return what the document says of a call."""
    details = DETAILS.get(call, Details({"200": {}}))
    varying = [part[1:-1] for part in call.parts if part.startswith("{")]
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in varying
    ]
    shared = parameters(call, has_body=bool(details.body))
    made: JsonSchema = {
        "operationId": _name(call),
        "summary": call.summary.removesuffix("."),
        "tags": [TAGS[call.kind][0]],
        "parameters": [*in_path, *shared, *details.parameters],
        "responses": {**_answers(call, details), "default": ERROR},
    }
    if keys := security(call):
        made["security"] = keys
    if details.body:
        made["requestBody"] = {"required": True, "content": details.body}
    return made


def _answers(call: Call, details: Details) -> JsonSchema:
    """Return the answers of a call by status."""
    made: JsonSchema = {}
    for status, content in details.answers.items():
        is_done = status < "300"
        made[status] = {"description": "Done." if is_done else "Refused.", "content": content}
        if is_done and (headers := answer_headers(call)):
            made[status]["headers"] = headers
    return made


def _name(call: Call) -> str:
    words = [part.strip("{}") for part in call.parts if part]
    text = "_".join([call.method.lower(), *words])
    return "".join(letter if letter.isalnum() else "_" for letter in text)
