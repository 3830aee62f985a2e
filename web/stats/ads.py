"""GET /stats/ads and /stats/ads/{ad_id}: impressions, visitors and clicks of a month (UTC)."""

from __future__ import annotations

from collections import Counter
from time import time
from typing import Any

from app.counting.stats_window import Month, parse_at, parse_month
from app.transport.ownership import Ownership
from tables.totals import Totals
from tables.uniques import Uniques
from web.http import paths
from web.query.least import check
from web.query.messages import Answer, Query
from web.query.queries import Queries


class AdQueries:
    """Answers from the tables; owned: partitions of `uniques`."""

    def __init__(
        self, queries: Queries, totals: Totals, uniques: Uniques, owned: Ownership
    ) -> None:
        self._queries, self._totals = queries, totals
        self._uniques, self._owned = uniques, owned

    def ads(self, query: Query) -> Answer:
        """GET ?month=2026-11 -> {"month", "impressions", "visitors", "final"}."""
        month, final = self._asked(query, "")
        answer = {
            "month": str(month),
            "impressions": self._counted("ad_events_daily", "", month)["impressions"],
            "visitors": self._uniques.visitors(month, None).users,
            "final": final,
        }
        return Answer.json(answer)

    def ad(self, query: Query) -> Answer:
        """GET ?month=2026-11 -> the same of one ad, its clicks, and those that count."""
        ad_id = query.segments[-1]
        month, final = self._asked(query, ad_id)
        events = self._counted("ad_events_by_ad_daily", ad_id, month)
        answer = {
            "month": str(month),
            "ad_id": ad_id,
            "impressions": events["impressions"],
            "visitors": self._uniques.visitors(month, ad_id).users,
            "clicks": events["clicks"],
            "counted_clicks": ranked(self._counted("counted_clicks_by_ad_daily", ad_id, month)),
            "final": final,
        }
        return Answer.json(answer)

    def _asked(self, query: Query, key: str) -> tuple[Month, bool]:
        """Return the month and whether it is over, at the worker that owns a key."""
        at = parse_at(query.args, time())
        month = parse_month(query.args, at)
        partition = self._totals.partition_of(key)  # in `uniques` it is the same
        self._queries.check_owner(partition, query)
        self._owned.check(partition)
        check(partition, self._uniques.reached)
        return month, at >= month.end

    def _counted(self, name: str, key: str, month: Month) -> Counter[str]:
        """Return {label: count} of a month."""
        counts = Counter[str]()
        for labels in self._totals.read(name, key, month.begin, month.end).values():
            counts.update(labels)
        return counts


def ranked(websites: Counter[str]) -> list[dict[str, Any]]:
    """Return {"website", "count"}, most clicks first, ties by website."""
    found = sorted(websites.items(), key=lambda item: (-item[1], item[0]))
    return [{"website": website, "count": count} for website, count in found]


def register(queries: Queries, totals: Totals, uniques: Uniques, owned: Ownership) -> None:
    """Add the queries of a count worker; owned: partitions of `uniques`."""
    answers = AdQueries(queries, totals, uniques, owned)
    queries.add(paths.ALL_ADS, answers.ads)
    queries.add(paths.ONE_AD, answers.ad)
