"""POST /event_track/ and /event_report/: the counts of a url."""

from __future__ import annotations

from datetime import date
from typing import Any

from aiohttp.web import Request, Response
from pydantic import BaseModel

from app.answers import day_start, report_answer, track_answer
from app.counters import DAY
from app.ownership import Ownership
from tables.totals import Totals
from web.owner import answer_of_owner
from web.views import ApiView, json_response, page, read_json


class TrackQuery(BaseModel):
    """Body of /event_track/."""

    url: str


class ReportQuery(BaseModel):
    """Body of /event_report/; date: a UTC day."""

    url: str
    date: date


def register(app: Any, totals: Totals, owned: Ownership) -> None:
    """Add the views to the app of a count worker."""

    @page(app, "/event_track/")
    class EventTrack(ApiView):
        """POST {"url": str} -> {"url": str, "events": [{"type": str, "count": int}]}."""

        async def post(self, request: Request) -> Response:
            query = await read_json(request, TrackQuery)
            partition = totals.partition_of(query.url)
            if (answer := await answer_of_owner(app, request, owned, partition)) is not None:
                return answer
            windows = totals.read_all("events_by_url", query.url)
            return json_response(track_answer(query.url, windows))

    @page(app, "/event_report/")
    class EventReport(ApiView):
        """POST {"url": str, "date": "2021-12-03"} -> counts of its 24 UTC hours."""

        async def post(self, request: Request) -> Response:
            query = await read_json(request, ReportQuery)
            partition = totals.partition_of(query.url)
            if (answer := await answer_of_owner(app, request, owned, partition)) is not None:
                return answer
            begin = day_start(query.date)
            windows = totals.read("events_by_url_hourly", query.url, begin, begin + DAY)
            return json_response(report_answer(query.url, query.date, windows))
