"""GET /stats/ads and /stats/ads/{ad_id}: impressions, visitors and clicks of a month (UTC)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from time import time

from app.counting.stats_window import Month, parse_at, parse_month
from app.transport.ownership import Ownership
from tables.totals import Totals
from tables.turns import InSteps, at_once
from tables.uniques import Uniques
from web.http import paths
from web.http.views import JSON, OK
from web.query.least import check
from web.query.messages import Answer, Query, encode
from web.query.queries import Queries
from web.query.stepwise import Stepwise
from web.stats.pieces import add, elements

_AD = b'%b,"counted_clicks":[%b],"final":%b}'


class AdQueries:
    """Answers from the tables; owned: partitions of `uniques`."""

    def __init__(
        self,
        queries: Queries,
        stepwise: Stepwise,
        totals: Totals,
        uniques: Uniques,
        owned: Ownership,
    ) -> None:
        self._queries, self._stepwise, self._totals = queries, stepwise, totals
        self._uniques, self._owned = uniques, owned

    def ads(self, query: Query) -> Answer:
        """GET ?month=2026-11 -> {"month", "impressions", "visitors", "final"}."""
        month, final = self._asked(query, "")
        answer = {
            "month": str(month),
            "impressions": at_once(self._counted("ad_events_daily", "", month))["impressions"],
            "visitors": self._uniques.visitors(month, None).users,
            "final": final,
        }
        return Answer.json(answer)

    def ad(self, query: Query) -> Answer | Awaitable[Answer]:
        """GET ?month=2026-11 -> the same of one ad, its clicks, and those that count."""
        ad_id = query.segments[-1]
        month, final = self._asked(query, ad_id)
        return self._stepwise.answer(self._of_ad(ad_id, month, final=final))

    def _of_ad(self, ad_id: str, month: Month, *, final: bool) -> InSteps[Answer]:
        events = yield from self._counted("ad_events_by_ad_daily", ad_id, month)
        head = {
            "month": str(month),
            "ad_id": ad_id,
            "impressions": events["impressions"],
            "visitors": self._uniques.visitors(month, ad_id).users,
            "clicks": events["clicks"],
        }
        websites = yield from self._counted("counted_clicks_by_ad_daily", ad_id, month)
        clicks = yield from ranked(websites)
        body = _AD % (encode(head)[:-1], clicks, encode(final))
        return Answer(OK, body, JSON)

    def _asked(self, query: Query, key: str) -> tuple[Month, bool]:
        """Return the month and whether it is over, at the worker that owns a key."""
        at = parse_at(query.args, time())
        month = parse_month(query.args, at)
        partition = self._totals.partition_of(key)  # in `uniques` it is the same
        self._queries.check_owner(partition, query)
        self._owned.check(partition)
        check(partition, self._uniques.reached)
        return month, at >= month.end

    def _counted(self, name: str, key: str, month: Month) -> InSteps[Counter[str]]:
        """Return {label: count} of a month."""
        counts = Counter[str]()
        windows = yield from self._totals.reading(name, key, month.begin, month.end)
        for labels in windows.values():
            yield from add(counts, labels)
        return counts


def ranked(websites: Counter[str]) -> InSteps[bytes]:
    """Return {"website", "count"} of each, most clicks first, ties by website."""
    return elements(
        websites.items(),
        lambda item: {"website": item[0], "count": item[1]},
        key=lambda item: (-item[1], item[0]),
    )


def register(
    queries: Queries, stepwise: Stepwise, totals: Totals, uniques: Uniques, owned: Ownership
) -> None:
    """Add the queries of a count worker; owned: partitions of `uniques`."""
    answers = AdQueries(queries, stepwise, totals, uniques, owned)
    queries.add(paths.ALL_ADS, answers.ads)
    queries.add(paths.ONE_AD, answers.ad)
