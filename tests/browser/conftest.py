"""One running copy and one Chromium for all tests of the pages."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ViewportSize, async_playwright, expect

from app.stack.kafka import Kafka
from app.stack.ports import free_port
from app.stack.postgres import DATABASE, LocalPostgres
from app.stack.redis import Redis
from tests.browser.tab import Tab
from tests.support.running_copy import RunningCopy, running_copy

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE: ViewportSize = {"width": 1440, "height": 1000}
ZONE = "Asia/Tokyo"  # of the person: local times differ from UTC, whatever machine this is
PATIENCE_MS = 90_000  # a page shows all within seconds where nobody else works
expect.set_options(timeout=PATIENCE_MS)

OpenTab = Callable[[], Awaitable[Tab]]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def copy(
    kafka_part: Kafka,
    postgres_part: LocalPostgres,
    redis_part: Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RunningCopy]:
    """Yield `event-counter run` with topics and a database of its own."""
    name = f"pages_{uuid.uuid4().hex}"
    await _execute(postgres_part, f"create database {name}")
    given = {
        "data_dir": tmp_path_factory.mktemp("pages") / "data",
        "http_port": free_port(),
        "kafka": kafka_part.address,
        "postgres": postgres_part.address.removesuffix(DATABASE) + name,
        "redis": f"{redis_part.address.rpartition('/')[0]}/999",
        "namespace": f"{name}.",
        "origins": f"http://127.0.0.1:{free_port()}",  # a website's, see test_tracker.py
    }
    with running_copy(**given) as running:
        await running.ready()
        yield running
    await _execute(postgres_part, f"drop database {name} with (force)")


async def _execute(part: LocalPostgres, query: str) -> None:
    """Over a connection for each: a test may stop Postgres in between."""
    admin = await asyncpg.connect(part.address)
    await admin.execute(query)
    await admin.close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def chromium() -> AsyncIterator[Browser]:
    """Yield the browser; without one the tests are left out, on the automatic checks they fail."""
    if CHROMIUM is None:
        reason = "no Chromium: install Debian's package chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="package")
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """Yield an empty window, light and wide."""
    made = await chromium.new_context(viewport=WIDE, color_scheme="light", timezone_id=ZONE)
    made.set_default_timeout(PATIENCE_MS)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="package")
async def open_tab(context: BrowserContext) -> AsyncIterator[OpenTab]:
    """Return what opens a tab; at the end of the test none may have done what it should not."""
    tabs: list[Tab] = []

    async def opened() -> Tab:
        tabs.append(Tab(await context.new_page()))
        await tabs[-1].watch()
        return tabs[-1]

    yield opened
    for tab in tabs:
        await tab.check()


@pytest_asyncio.fixture(loop_scope="package")
async def tab(open_tab: OpenTab) -> Tab:
    """Return a tab."""
    return await open_tab()
