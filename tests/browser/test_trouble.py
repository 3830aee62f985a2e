"""What the dashboard says when something is away, and to who has no token."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from playwright.async_api import expect

from app.settings import Settings
from app.stack.ports import free_port
from app.stack.postgres import LocalPostgres
from app.stack.redis import Redis
from app.stack.workers import worker_settings
from tests.browser.support import LIVE
from tests.browser.tab import Tab
from tests.support.forked import ForkedWorker
from tests.support.running_copy import RunningCopy

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_dead_worker_is_named_and_gone_when_it_is_back(copy: RunningCopy, tab: Tab) -> None:
    page = tab.page
    await page.goto(copy.url)
    health, totals = page.locator("#health-list"), page.locator("#totals")
    await expect(health).to_contain_text("count-1: running")
    await expect(totals).to_have_attribute("data-state", re.compile("ready|empty"))
    worker = copy.pid_of("count-1")
    os.kill(worker, signal.SIGSTOP)  # as one that hangs
    await expect(health).to_contain_text("count-1: does not answer")
    await expect(totals).to_have_attribute("data-state", re.compile("kept|failed"))
    await expect(page.locator("#link")).to_have_text(LIVE)
    await tab.shoot("outage")
    os.kill(worker, signal.SIGKILL)
    await expect(health).to_contain_text("count-1: running")
    await expect(totals).to_have_attribute("data-state", re.compile("ready|empty"))
    for text in ("does not answer", "running"):
        said = f"window.noted.said.some((text) => text.includes('count-1: {text}'))"
        await page.wait_for_function(said)


@pytest.mark.parametrize("name", ["Postgres", "Redis"])
async def test_a_store_that_is_away_is_named_while_nobody_sends(
    copy: RunningCopy, tab: Tab, postgres_part: LocalPostgres, redis_part: Redis, name: str
) -> None:
    part = postgres_part if name == "Postgres" else redis_part
    await tab.page.goto(copy.url)
    health = tab.page.locator("#health-list")
    await expect(health).to_contain_text(f"{name}: OK")
    await part.stop()
    await expect(health).to_contain_text(f"{name}: unavailable")
    await part.start()
    await expect(health).to_contain_text(f"{name}: OK")


async def test_a_lost_connection_is_said_and_comes_back(copy: RunningCopy, tab: Tab) -> None:
    tab.passing = "ERR_"  # the browser itself names each lost connection
    page = tab.page
    await page.goto(copy.url)
    await expect(page.locator("#link")).to_have_text(LIVE)
    os.kill(copy.pid_of("collect-1"), signal.SIGKILL)
    await expect(page.locator("#link")).to_contain_text("Reconnecting, no data for")
    await expect(page.locator("#link")).to_have_text(LIVE)


async def test_a_read_token_is_asked_for(copy: RunningCopy, tab: Tab, tmp_path: Path) -> None:
    tab.passing = "401|ERR_"  # the browser itself names each answer of it, and the end
    run = json.loads((Path(copy.settings["data_dir"]) / "run.json").read_text("utf-8"))
    settings = Settings.model_validate(
        {
            **{name: copy.settings[name] for name in ("kafka", "namespace")},
            "data_dir": tmp_path,
            "read_token": "let me see",
            "worker_secret": run["worker_secret"],
        }
    )
    plan = worker_settings(settings, "collect", "locked", free_port(), run["count_urls"])
    worker = ForkedWorker(plan, tmp_path / "locked.log")
    worker.start()
    try:
        await worker.ready()
        page = tab.page
        await page.goto(worker.url)
        await expect(page.locator("#token-dialog")).to_be_visible()
        await expect(page.locator("#token")).to_be_focused()
        await page.fill("#token", "wrong")
        await page.press("#token", "Enter")
        await expect(page.locator("#token-problem")).to_have_text("That is not the token.")
        await tab.shoot("token")
        await page.fill("#token", "let me see")
        await page.press("#token", "Enter")
        await expect(page.locator("#link")).to_have_text(LIVE)
        await expect(page.locator("#token-dialog")).to_be_hidden()
        await expect(page.locator("#totals")).to_have_attribute(
            "data-state", re.compile("ready|empty")
        )
    finally:
        worker.child.kill()
