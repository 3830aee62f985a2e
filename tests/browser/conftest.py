"""One running copy and one Chromium for all tests of the pages."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from app.stack.kafka import Kafka
from app.stack.ports import free_port
from app.stack.postgres import DATABASE, Postgres
from app.stack.redis import Redis
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
SCREENSHOTS = Path(__file__).parent / "screenshots"
WIDE = (1440, 1000)
PATIENCE_MS = 90_000  # a page shows all within seconds where nobody else works
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Tab:
    """A page, and what it did that it should not."""

    page: Page
    faults: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def watch(self) -> None:
        """Note errors of scripts, the console and the policy, and who is asked for anything."""

        def note(message: ConsoleMessage) -> None:
            self.said.append(message.text)
            if message.type == "error":
                self.faults.append(message.text)

        self.page.on("console", note)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    async def shoot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(exist_ok=True)
        await self.page.evaluate("scrollTo(0, 0)")  # the bar at the top stays there
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def copy(
    kafka_part: Kafka,
    postgres_part: Postgres,
    redis_part: Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RunningCopy]:
    """Yield `event-counter run` with topics and a database of its own."""
    admin = await asyncpg.connect(postgres_part.address)
    name = f"pages_{uuid.uuid4().hex}"
    await admin.execute(f"create database {name}")
    given = {
        "data_dir": tmp_path_factory.mktemp("pages") / "data",
        "http_port": free_port(),
        "kafka": kafka_part.address,
        "postgres": postgres_part.address.removesuffix(DATABASE) + name,
        "redis": f"{redis_part.address.rpartition('/')[0]}/999",
        "namespace": "pages.",
    }
    with running_copy(**given) as running:
        await running.ready()
        yield running
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
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


@pytest_asyncio.fixture(loop_scope="module")
async def tab(chromium: Browser) -> AsyncIterator[Tab]:
    """Yield an empty page, light and wide."""
    width, height = WIDE
    context = await chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme="light"
    )
    context.set_default_timeout(PATIENCE_MS)
    tab = Tab(await context.new_page())
    tab.watch()
    yield tab
    await context.close()
