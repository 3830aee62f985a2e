"""POST /event_track/ and /event_report/: the counts of a url."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import date, datetime
from time import time as now
from typing import Annotated

from pydantic import BaseModel, Field

from app.counting.calendar import UTC, Buckets, zone_of
from app.counting.counters import Counters
from app.counting.spec import HOUR
from app.events.event import EPOCH, URL_MAX_BYTES
from tables.totals import Totals
from web.http import paths
from web.http.views import JSON, OK, parse_json
from web.query.messages import Answer, Query
from web.query.queries import Queries
from web.stats.answers import local_report, range_of, report_json, track_json
from web.stats.settled import settled

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


def register(queries: Queries, totals: Totals, counters: Counters) -> None:
    """Add the queries of a count worker."""
    hourly = counters["events_by_url_hourly"]

    def event_track(query: Query) -> Answer | Awaitable[Answer]:
        """POST {"url": str} -> {"url": str, "events": [{"type": str, "count": int}]}."""
        asked = parse_json(query.body, TrackQuery)

        def answer() -> Answer:
            counts = totals.read_all(ALL_TIME, asked.url)
            return Answer(OK, track_json(asked.url, counts), JSON)

        queries.check_owner(totals.partition_of(asked.url), query)
        return settled(queries, totals, ALL_TIME, asked.url, query, answer)

    def event_report(query: Query) -> Answer:
        """POST {"url": str, "date": "2021-12-03"} -> counts of its 24 UTC hours.

        With "tz" of the hours that the day has there.
        """
        asked = parse_json(query.body, ReportQuery)
        days = Buckets("1d", UTC if asked.tz is None else zone_of(asked.tz))
        first, last = days.bounds(asked.date)
        days.check(HOUR, first, last)
        begin, end = range_of(hourly, moment(first), moment(last), now())
        queries.check_owner(totals.partition_of(asked.url), query)
        windows = totals.read(hourly.name, asked.url, begin, end)
        if asked.tz is None:
            return Answer(OK, report_json(asked.url, asked.date, windows), JSON)
        return Answer.json(local_report(asked.url, asked.date, days.zone, windows))

    queries.add(paths.EVENT_TRACK, event_track)
    queries.add(paths.EVENT_REPORT, event_report)


def moment(second: int) -> datetime:
    """Return a second since 1970 as a time."""
    return datetime.fromtimestamp(second, tz=UTC)
