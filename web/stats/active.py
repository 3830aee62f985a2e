"""GET /stats/active_users: how many users had an event in a window."""

from __future__ import annotations

from time import time

from app.counting.stats_window import parse_window, split
from app.counting.uniques import LEVELS
from app.transport.ownership import Ownership
from tables.uniques import Uniques
from web.http import paths
from web.query.least import check
from web.query.messages import Answer, Query
from web.query.queries import Queries

WINDOW_S = 300


def register(queries: Queries, uniques: Uniques, owned: Ownership) -> None:
    """Add the query of a count worker; owned: partitions of `uniques`."""

    def active_users(query: Query) -> Answer:
        """GET ?window=300&at=T -> {"window_s", "active_users", "error"}."""
        now = time()
        window = parse_window(query.args, now, default_s=WINDOW_S)
        runs = split(window, now, LEVELS)
        partition = uniques.partition_of("")
        queries.check_owner(partition, query)
        owned.check(partition)
        check(partition, uniques.reached)
        users, error = uniques.active_users(runs)
        return Answer.json({"window_s": window.size, "active_users": users, "error": error})

    queries.add(paths.ACTIVE_USERS, active_users)
