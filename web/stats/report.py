"""POST /event_track/ and /event_report/: the counts of a url."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import date, datetime
from time import time as now
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from app.counting.calendar import UTC, Buckets, zone_of
from app.counting.counters import Counters
from app.counting.spec import FOREVER, HOUR
from app.events.event import EPOCH, URL_MAX_BYTES
from tables.totals import Totals
from tables.turns import InSteps
from web.http import paths
from web.http.views import JSON, OK, parse_json
from web.query.messages import Answer, Query
from web.query.queries import Queries
from web.query.stepwise import Stepwise
from web.stats.answers import Windows, local_report, range_of, report_json, track_json

ALL_TIME = "events_by_url"
YEARS_END = date(2106, 1, 1)  # the last year that the rows of the tables can begin in
Url = Annotated[str, Field(max_length=URL_MAX_BYTES)]  # no event has a longer one


class TrackQuery(BaseModel):
    """Body of /event_track/."""

    url: Url


class ReportQuery(BaseModel):
    """Body of /event_report/; date: a day of the time zone tz, of UTC where none is given."""

    url: Url
    date: Annotated[date, Field(ge=EPOCH.date(), lt=YEARS_END)]
    tz: str | None = None


def register(queries: Queries, stepwise: Stepwise, totals: Totals, counters: Counters) -> None:
    """Add the queries of a count worker."""
    hourly = counters["events_by_url_hourly"]

    def event_track(query: Query) -> Answer | Awaitable[Answer]:
        """POST {"url": str} -> {"url": str, "events": [{"type": str, "count": int}]}."""
        asked = parse_json(query.body, TrackQuery)
        queries.check_owner(totals.partition_of(asked.url), query)
        return stepwise.answer(_tracked(totals, asked.url))

    def event_report(query: Query) -> Answer | Awaitable[Answer]:
        """POST {"url": str, "date": "2021-12-03"} -> counts of its 24 UTC hours.

        With "tz" of the hours that the day has there.
        """
        asked = parse_json(query.body, ReportQuery)
        days = Buckets("1d", UTC if asked.tz is None else zone_of(asked.tz))
        first, last = days.bounds(asked.date)
        days.check(HOUR, first, last)
        begin, end = range_of(hourly, moment(first), moment(last), now())
        queries.check_owner(totals.partition_of(asked.url), query)
        reading = totals.reading(hourly.name, asked.url, begin, end)
        return stepwise.answer(_reported(reading, asked, days.zone))

    queries.add(paths.EVENT_TRACK, event_track)
    queries.add(paths.EVENT_REPORT, event_report)


def _tracked(totals: Totals, url: str) -> InSteps[Answer]:
    yield from totals.settling(ALL_TIME, url)
    counts = yield from totals.reading(ALL_TIME, url, 0, FOREVER)
    return Answer(OK, (yield from track_json(url, counts)), JSON)


def _reported(reading: InSteps[Windows], asked: ReportQuery, zone: ZoneInfo) -> InSteps[Answer]:
    windows = yield from reading
    if asked.tz is None:
        return Answer(OK, (yield from report_json(asked.url, asked.date, windows)), JSON)
    return Answer(OK, (yield from local_report(asked.url, asked.date, zone, windows)), JSON)


def moment(second: int) -> datetime:
    """Return a second since 1970 as a time."""
    return datetime.fromtimestamp(second, tz=UTC)
