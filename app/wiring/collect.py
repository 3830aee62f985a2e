"""Role collect: takes events over HTTP, passes queries on, and serves the pages."""

from __future__ import annotations

import faust
from mode import Service

import web.http.health
import web.http.openapi
import web.ingest.register
import web.pages.register
import web.query.forward
import web.stats.rates
import web.stats.topics
from app.ingest.collector import Collector
from app.kafka.repeats import leave_out_repeats
from app.monitor.rates import RateSampler
from app.names import Names
from app.settings import Settings
from app.stack.log_mending import mend_events
from app.wiring.faust_app import collect_garbage, faust_app, tune_collection
from web.http.guard import Guard


def build(settings: Settings) -> faust.App:
    """Return the app; it has no consumer group."""
    names = Names(settings.namespace)
    app = faust_app(settings, names.collect_group, settings.http_port, settings.http_host)
    app.producer_only = True  # no consumer: a rebalance elsewhere never delays a request
    collector, rates = Collector(settings, mend_events(settings)), RateSampler(settings)
    workers = web.query.forward.register(app, settings, collector.check_ready)
    ends = web.stats.topics.register(app, settings, workers)
    pages = web.pages.register.register(app, settings, workers, ends, rates, collector.check_ready)
    app.web.guard = Guard(settings, settings.read_token.get_secret_value())

    @app.service
    class Collecting(Service):
        """Starts and stops the collector with the app."""

        async def on_start(self) -> None:
            self.add_future(collect_garbage())
            leave_out_repeats()  # under faust -A nobody else does
            await collector.start()
            rates.start()
            pages.start()
            for one in (collector, rates.keeper, pages.keeper):
                self.add_future(one.ended())
            tune_collection()

        async def on_stop(self) -> None:
            await pages.keeper.stop()
            await collector.stop()
            await rates.keeper.stop()
            await ends.close()

    web.http.health.register(app, collector.check_ready)
    web.http.openapi.register(app, settings.base_path)
    web.ingest.register.register(app, collector, settings)
    web.stats.rates.register(app, rates)
    return app
