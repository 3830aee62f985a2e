"""?position=1: where in Kafka the events of a request lie, in a header of its answer."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import parse_qsl

from aiohttp.web import Request, Response

from app.events.positions import EventPositions, shown
from web.http.quick import MoreHead, QuickResponse

HEADER = "X-Event-Position"
NAME, YES = "position", "1"
ASKED = f"{NAME}={YES}"
_LINE = f"\r\n{HEADER}: "

ResponseT = TypeVar("ResponseT", bound=Response)


def is_asked(request: Request) -> bool:
    """Whether the query string has position=1; whatever else it has decides nothing."""
    query = request.raw_path.partition("?")[2]
    return bool(query) and (query == ASKED or (NAME, YES) in parse_qsl(query))


def positioned(request: Request, response: ResponseT, positions: EventPositions) -> ResponseT:
    """Return an answer with the positions behind its events, where the request asks for them.

    Nothing stored has no position, and no header.
    """
    if positions and is_asked(request):
        text = shown(positions)
        if isinstance(response, QuickResponse):
            response.add_head(MoreHead({HEADER: text}, (_LINE + text).encode()))
        else:
            response.headers[HEADER] = text
    return response
