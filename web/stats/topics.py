"""GET /rejected and /alerts: the newest records of two topics.

min_position= waits for the tables, as everywhere: a record is rejected before it is counted. An
alert follows a moment later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp.web import Request, Response

from app.counting.stats_window import parse_limit
from app.events.event import at_ms
from app.kafka.clients import KafkaClients
from app.kafka.ends import TopicEnds
from app.names import Names
from app.settings import Settings
from web.http import paths
from web.http.args import args_of
from web.http.views import OK, ApiView, json_response, page
from web.query.forward import CountWorkers
from web.query.least import POSITION, WAIT
from web.query.messages import Query

LIMIT, LIMIT_MAX = 50, 1000
OF_ALL_PARTITIONS = "/counts/events_by_type/top?limit=1"  # a small question that asks all tables

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def register(app: Any, settings: Settings, workers: CountWorkers) -> TopicEnds:
    """Add the views to the app of a collector; the caller closes what is returned."""
    names = Names(settings.namespace)
    ends = TopicEnds(
        KafkaClients.of(settings), {names.rejected: 1, names.alerts: settings.counts_partitions}
    )

    @page(app, paths.REJECTED)
    class Rejected(ApiView):
        """GET ?limit=50 -> {"rejected": [...]}, the newest first."""

        async def get(self, request: Request) -> Response:
            args = args_of(request.rel_url.raw_query_string)
            limit = parse_limit(args, default=LIMIT, most=LIMIT_MAX)
            behind = await not_counted(workers, args)
            return behind or json_response(await rejected(ends, names, limit))

    @page(app, paths.ALERTS)
    class Alerts(ApiView):
        """GET ?limit=50 -> {"alerts": [...]}, the newest first."""

        async def get(self, request: Request) -> Response:
            args = args_of(request.rel_url.raw_query_string)
            limit = parse_limit(args, default=LIMIT, most=LIMIT_MAX)
            behind = await not_counted(workers, args)
            return behind or json_response(await alerts(ends, names, limit))

    return ends


async def rejected(ends: TopicEnds, names: Names, limit: int) -> dict[str, Any]:
    """Return the answer of /rejected; raise UnavailableError."""
    records = first_of_each(await ends.newest(names.rejected, limit))
    found = [{**body, "rejected_at": _utc(r.timestamp)} for r, body in bodies(records)]
    return {"rejected": found}


async def alerts(ends: TopicEnds, names: Names, limit: int) -> dict[str, Any]:
    """Return the answer of /alerts; raise UnavailableError."""
    records = first_of_each(await ends.newest(names.alerts, limit))
    return {"alerts": [body for _, body in bodies(records)]}


def first_of_each(records: Iterable[Any]) -> list[Any]:
    """Return records, the newest first, without those that say again what an older one said.

    A worker that was frozen at the wrong moment repeats one, see
    docs/internals/decisions/alerts.md. What somebody else wrote may have no key.
    """
    oldest = {record.key or id(record): record for record in records}
    return list(oldest.values())


async def not_counted(workers: CountWorkers, args: Mapping[str, str]) -> Response | None:
    """Return the answer where the tables do not hold what min_position= asks for; None: they do."""
    asked = {name: args[name] for name in (POSITION, WAIT) if name in args}
    if not asked:
        return None
    path = f"{OF_ALL_PARTITIONS}&{urlencode(asked)}"
    answer = await workers.ask(Query("GET", path))
    return None if answer.status == OK else answer.response()


def bodies(records: Iterable[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield each record with its JSON object; what somebody else wrote there is left out."""
    for record in records:
        try:
            yield record, _decode(record.value or b"")
        except msgspec.MsgspecError:
            continue


def _utc(ms: int) -> str:
    """Return e.g. 2024-03-15T14:30:00.123Z."""
    return f"{at_ms(ms):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
