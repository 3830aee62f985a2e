"""A collector's HTTP in this process, on a real Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import faust
import pytest

import web.http.health
import web.http.openapi
import web.ingest.register
import web.pages.register
import web.query.forward
import web.stats.rates
import web.stats.topics
from app.errors import KafkaUnavailableError
from app.ingest.collector import Collector
from app.monitor.rates import RateSampler
from app.names import Names
from app.settings import Settings
from tests.support.collector_topics import collector_topics
from tests.support.http import Http
from tests.support.waiting import wait_until
from web.http.guard import Guard
from web.http.server import Server

Serve = Callable[[Settings], Awaitable[Http]]


@pytest.fixture
async def topics(settings: Settings) -> Names:
    """Return the names of the topics; only those of a collector exist, until a worker starts."""
    return await collector_topics(settings)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a factory of collectors that serve HTTP, and do not wait for Kafka."""
    async with AsyncExitStack() as stack:

        async def start(settings: Settings) -> Http:
            app = faust.App(
                "test-collect",
                broker=f"kafka://{settings.kafka}",
                web_bind=settings.http_host,
                web_host=settings.http_host,
                web_port=settings.http_port,
            )
            app.web = Server(app, settings)
            collector = Collector(settings)
            web.http.health.register(app, collector.check_ready)
            web.http.openapi.register(app, settings.base_path)
            web.ingest.register.register(app, collector, settings)
            workers = web.query.forward.register(app, settings, lambda: True)
            ends = web.stats.topics.register(app, settings, workers)
            stack.push_async_callback(ends.close)
            rates, check = RateSampler(settings), collector.check_ready
            web.stats.rates.register(app, rates)
            pages = web.pages.register.register(app, settings, workers, ends, rates, check)
            app.web.guard = Guard(settings, settings.read_token.get_secret_value())
            await collector.start()
            stack.push_async_callback(collector.stop)
            pages.start()
            stack.push_async_callback(pages.keeper.stop)
            await app.web.start()
            stack.push_async_callback(app.web.stop)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Http(session, f"http://{settings.http_host}:{settings.http_port}", app.web)

        yield start


@pytest.fixture
async def serve_ready(serve: Serve) -> Serve:
    """Return a factory of collectors that take events; it makes their topics."""

    async def start(settings: Settings) -> Http:
        await collector_topics(settings)
        client = await serve(settings)
        ready = lambda answer: answer.status == 200  # noqa: E731
        await wait_until(lambda: client.get("/ready"), ready, passing=(KafkaUnavailableError,))
        return client

    return start


@pytest.fixture
async def http(serve_ready: Serve, settings: Settings, topics: Names) -> Http:
    """Return a client of a collector that takes events; they go to topics.events."""
    assert topics
    return await serve_ready(settings)
