"""Puts the pages into the app of a collector: files, stream, and what feeds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import web.pages.stream
import web.pages.tail
import web.pages.tracker
import web.pages.views
from app.errors import UnavailableError
from app.kafka.ends import TopicEnds
from app.monitor.rates import RateSampler
from app.names import Names
from app.settings import Settings
from web.http.client import Clients
from web.pages.feed import Feed
from web.pages.health import Health
from web.pages.sampler import Panel, Sampler
from web.query.forward import CountWorkers
from web.query.messages import Answer, Query
from web.stats.topics import alerts, rejected

# Panel: path of the call that answers for it, s between two questions.
QUERIES = {
    "totals": ("/counts/events_by_type", 1.0),
    "active_users": ("/stats/active_users?window=300", 1.0),
    "top_pages": ("/stats/top_pages?limit=5&window=3600", 2.0),
    "bots": ("/stats/bots?window=3600", 2.0),
}
NEWEST = 20  # alerts and rejected events on the dashboard


def register(
    app: Any,
    settings: Settings,
    workers: CountWorkers,
    ends: TopicEnds,
    rates: RateSampler,
    check_ready: Callable[[], bool],
) -> Sampler:
    """Add the pages; return what has to be started and stopped with the app."""
    feed, names = Feed(), Names(settings.namespace)
    health = Health(settings, check_ready, rates)
    app.web.web_app.on_cleanup.append(health.close)

    def asking(path: str) -> Callable[[], Awaitable[Answer]]:
        return lambda: workers.ask(Query("GET", path))

    async def newest_alerts() -> Answer:
        return Answer.json(await alerts(ends, names, NEWEST))

    async def newest_rejected() -> Answer:
        return Answer.json(await rejected(ends, names, NEWEST))

    def point() -> Mapping[str, object]:
        try:
            return rates.current().as_dict()
        except UnavailableError:
            return {}

    panels = [Panel(name, asking(path), every_s) for name, (path, every_s) in QUERIES.items()]
    panels += [
        Panel("alerts", newest_alerts),
        Panel("rejected", newest_rejected),
        Panel("health", health.ask),
    ]
    _register_pages(app, settings, feed)
    return Sampler(feed, point, *panels)


def _register_pages(app: Any, settings: Settings, feed: Feed) -> None:
    clients = Clients(settings)
    web.pages.views.register(app, settings.base_path)
    web.pages.tracker.register(app)
    web.pages.stream.register(app, feed, clients)
    web.pages.tail.register(app, settings, clients)
