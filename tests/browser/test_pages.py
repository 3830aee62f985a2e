"""What a person sees: exact totals, another day, a dead worker, hostile texts, a token."""

from __future__ import annotations

import json
import os
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from playwright.async_api import Page, expect

from app.settings import Settings
from app.stack.ports import free_port
from app.stack.workers import Worker, worker_settings
from tests.browser.conftest import Tab
from tests.support.running_copy import RunningCopy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"
LIVE = re.compile("^Live$")
CROWDED = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


async def number(page: Page, name: str) -> int:
    """Return the number that an element shows."""
    return int(re.sub(r"\D", "", await page.locator(name).first.inner_text()) or "0")


async def stored(copy: RunningCopy) -> int:
    """Return the rows of the table event."""
    connection = await asyncpg.connect(copy.settings["postgres"])
    found: int = await connection.fetchval("select count(*) from event")
    await connection.close()
    return found


async def post(copy: RunningCopy, *events: dict[str, Any]) -> None:
    """Send events."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{copy.url}/events", json=list(events)) as answer,
    ):
        assert (await answer.json())["accepted"] == len(events)


async def test_an_empty_copy_says_so(copy: RunningCopy, tab: Tab) -> None:
    page = tab.page
    await page.goto(copy.url)
    await expect(page.locator("#link")).to_have_text(LIVE)
    await expect(page.locator("#totals .note")).to_have_text("No event was counted yet.")
    await expect(page.locator("#health-list li")).not_to_have_count(0)
    await expect(page.locator("#rates canvas")).to_be_visible()
    await tab.shoot("empty")
    assert tab.faults == []


async def test_the_totals_are_what_was_acknowledged_and_what_is_stored(
    copy: RunningCopy, tab: Tab
) -> None:
    page = tab.page
    await page.goto(copy.url)
    other = Tab(await page.context.new_page())
    other.watch()
    sender = other.page
    await sender.goto(f"{copy.url}/generator")
    await sender.click('button[data-rate="1000"]')
    await wait_until(lambda: number(sender, "#acknowledged"), lambda n: n >= 3000, deadline_s=20)
    await expect(page.locator("#received")).not_to_have_text(re.compile(r"^(\u2013|0)$"))
    await other.shoot("generator")
    await sender.click("#stop")
    await expect(sender.locator("#verdict")).to_contain_text("Stopped")
    sent = await number(sender, "#acknowledged")
    assert (await number(sender, "#sent"), await number(sender, "#failed")) == (sent, 0)
    await wait_until(lambda: number(page, "#totals-all"), sent, deadline_s=15)
    await wait_until(lambda: stored(copy), sent, deadline_s=15)
    assert len([text for text in other.said if text.startswith("batch ")]) >= sent / 1000
    assert tab.faults + other.faults == []
    assert tab.hosts | other.hosts == {copy.url.removeprefix("http://")}


async def test_a_url_shows_its_counts_and_another_day(copy: RunningCopy, tab: Tab) -> None:
    now = datetime.now(UTC)
    before = now - timedelta(days=1)
    url = "https://example.net/a day"
    today = {"type": "VIEW", "url": url, "timestamp": now.isoformat()}
    yesterday = {"type": "CLICK", "url": url, "timestamp": before.isoformat()}
    await post(copy, today, today, yesterday)
    page = tab.page
    await page.goto(copy.url)
    await page.fill("#url-text", url)
    await page.click("#url-form button[type=submit]")
    await expect(page.locator("#url-counts")).to_contain_text("2 VIEW")
    await expect(page.locator("#url-counts")).to_contain_text("1 CLICK")
    total = page.locator("#day-total")
    await expect(total).to_have_text(f"· {now:%Y-%m-%d} (UTC): 2 events")
    await page.fill("#url-date", f"{before:%Y-%m-%d}")
    await expect(total).to_have_text(f"· {before:%Y-%m-%d} (UTC): 1 events")
    await page.click("#day-before")
    await expect(total).to_contain_text("0 events")
    await expect(page.locator("#url-chart canvas")).to_be_visible()
    assert tab.faults == []


async def test_a_hostile_text_stays_a_text(copy: RunningCopy, tab: Tab) -> None:
    view = {"type": "page_view", "url": HOSTILE, "user_id": HOSTILE, "session_id": HOSTILE}
    await post(copy, *(view for _ in range(2000)), {"type": HOSTILE, "url": HOSTILE})
    page = tab.page
    await page.goto(copy.url)
    for rows in ("#totals-rows", "#top-rows"):
        await expect(page.locator(rows)).to_contain_text(HOSTILE)
    await page.fill("#url-text", HOSTILE)
    await page.press("#url-text", "Enter")
    await expect(page.locator("#url-counts")).to_contain_text(HOSTILE)
    await expect(page.locator("#url-chart .u-legend")).to_contain_text(HOSTILE)
    assert await page.locator("main img, main script").count() == 0
    assert tab.faults == []


@pytest.mark.parametrize(("name", "width", "dark"), [("phone", 360, False), ("dark", 1440, True)])
async def test_it_fits_a_phone_and_the_dark(
    copy: RunningCopy, tab: Tab, name: str, width: int, *, dark: bool
) -> None:
    page = tab.page
    await page.set_viewport_size({"width": width, "height": 800})
    await page.emulate_media(color_scheme="dark" if dark else "light")
    await page.goto(copy.url)
    await page.fill("#url-text", "/")
    await page.press("#url-text", "Enter")
    await expect(page.locator("#totals")).to_have_attribute("data-state", "ready")
    await expect(page.locator("#url")).to_have_attribute("data-state", "ready")
    theme = await page.evaluate("document.documentElement.dataset.theme")
    assert theme == ("dark" if dark else "light")
    assert await page.evaluate(CROWDED) is False
    await tab.shoot(name)
    await page.click("#theme")
    assert await page.evaluate("document.documentElement.dataset.theme") != theme
    assert tab.faults == []


async def test_a_dead_worker_is_named_and_gone_when_it_is_back(copy: RunningCopy, tab: Tab) -> None:
    page = tab.page
    await page.goto(copy.url)
    health = page.locator("#health-list")
    await expect(health).to_contain_text("count-1 works")
    worker = copy.pid_of("count-1")
    os.kill(worker, signal.SIGSTOP)  # as one that hangs
    await expect(health).to_contain_text("count-1 does not answer")
    await expect(page.locator("#totals")).to_have_attribute("data-state", "kept")
    await expect(page.locator("#link")).to_have_text(LIVE)
    await tab.shoot("outage")
    os.kill(worker, signal.SIGKILL)
    await expect(health).to_contain_text("count-1 works")
    await expect(page.locator("#totals")).to_have_attribute("data-state", "ready")
    # The browser itself names each answer of 503.
    assert [fault for fault in tab.faults if "503" not in fault] == []


async def test_a_lost_connection_is_said_and_comes_back(copy: RunningCopy, tab: Tab) -> None:
    page = tab.page
    await page.goto(copy.url)
    await expect(page.locator("#link")).to_have_text(LIVE)
    os.kill(copy.pid_of("collect-1"), signal.SIGKILL)
    await expect(page.locator("#link")).to_contain_text("Reconnecting, no data for")
    await expect(page.locator("#link")).to_have_text(LIVE)


async def test_a_read_token_is_asked_for(copy: RunningCopy, tab: Tab, tmp_path: Path) -> None:
    run = json.loads((Path(copy.settings["data_dir"]) / "run.json").read_text("utf-8"))
    settings = Settings.model_validate(
        {
            **{name: copy.settings[name] for name in ("kafka", "namespace")},
            "data_dir": tmp_path,
            "read_token": "let me see",
        }
    )
    plan = worker_settings(settings, "collect", "locked", free_port(), run["count_urls"])
    worker = Worker(plan, tmp_path / "locked.log")
    worker.start()
    try:
        await worker.ready()
        page = tab.page
        await page.goto(worker.url)
        await expect(page.locator("#token-dialog")).to_be_visible()
        await page.fill("#token", "wrong")
        await page.press("#token", "Enter")
        await expect(page.locator("#token-problem")).to_have_text("That is not the token.")
        await page.fill("#token", "let me see")
        await page.press("#token", "Enter")
        await expect(page.locator("#link")).to_have_text(LIVE)
        await expect(page.locator("#token-dialog")).to_be_hidden()
        await expect(page.locator("#totals")).to_have_attribute(
            "data-state", re.compile("ready|empty")
        )
    finally:
        worker.child.kill()
