"""GET /counts/{counter} and /counters: any declared counter, from whichever worker owns the key."""

from __future__ import annotations

from time import time
from typing import Any

from aiohttp.web import Request, Response

from app.answers import counters_answer, counts_answer, range_of
from app.counters import EVERYTHING, Counters
from app.errors import BadRequestError, NotFoundError
from app.ownership import Ownership
from app.shapes import parse_time
from tables.totals import Totals
from web.owner import answer_of_owner
from web.views import ApiView, json_response, page


def register(app: Any, totals: Totals, owned: Ownership, counters: Counters) -> None:
    """Add the views to the app of a count worker."""

    @page(app, "/counts/{counter}")
    class Counts(ApiView):
        """GET ?key=K&from=T&to=T -> the windows of a key and their total."""

        async def get(self, request: Request, counter: str) -> Response:
            if counter not in counters:
                known = ", ".join(counters)
                raise NotFoundError(f"no counter {counter!r}; there are {known}")
            spec = counters[counter]
            key = request.query.get("key")
            if key is None:
                if spec.key is not EVERYTHING:
                    raise BadRequestError(f"{counter} needs key=, a {spec.key.name}")
                key = ""
            times = _time(request, "from"), _time(request, "to")
            begin, end = range_of(spec, *times, time())
            partition = totals.partition_of(key)
            if (answer := await answer_of_owner(app, request, owned, partition)) is not None:
                return answer
            windows = totals.read(counter, key, begin, end)
            return json_response(counts_answer(counter, key, windows, all_time=spec.window is None))

    @page(app, "/counters")
    class DeclaredCounters(ApiView):
        """GET -> the declared counters."""

        async def get(self, _request: Request) -> Response:
            return json_response(counters_answer(counters))


def _time(request: Request, name: str) -> Any:
    """A time of the query, RFC 3339 or epoch; None where absent."""
    text = request.query.get(name)
    if not text:
        return None
    try:
        value: object = float(text)
    except ValueError:
        value = text.replace(" ", "+")  # a + that was not escaped in the query
    return parse_time(value, name)
