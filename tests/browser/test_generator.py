"""The generator beside the dashboard: exact totals, and honest when nobody answers."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from playwright.async_api import expect

from app.settings import Settings
from app.stack.ports import free_port
from app.stack.workers import worker_settings
from tests.browser.conftest import OpenTab
from tests.browser.support import LIVE, all_stored, stored
from tests.browser.tab import Tab
from tests.support.forked import ForkedWorker
from tests.support.running_copy import RunningCopy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def both(copy: RunningCopy, open_tab: OpenTab) -> tuple[Tab, Tab]:
    """Return the dashboard and the generator, side by side."""
    dashboard, generator = await open_tab(), await open_tab()
    await dashboard.page.goto(copy.url)
    await expect(dashboard.page.locator("#link")).to_have_text(LIVE)
    await generator.page.goto(f"{copy.url}/generator")
    return dashboard, generator


async def end(copy: RunningCopy, dashboard: Tab, generator: Tab, before: int) -> None:
    """Stop, and compare what was acknowledged with page and Postgres, to the event.

    What failed, on a machine so slow that an answer took 20 s, may be stored or not.
    """
    await generator.page.click("#stop")
    await expect(generator.page.locator("#verdict")).to_contain_text("Stopped")
    least = before + await generator.number("#acknowledged")
    most = least + await generator.number("#failed")
    assert most == before + await generator.number("#sent")

    async def figures() -> tuple[int, int, int]:
        human = await stored(copy, "human_event")  # page views of bots are stored and not counted
        return await stored(copy), human, await dashboard.number("#totals-all")

    def fit(found: tuple[int, int, int]) -> bool:
        rows, human, counted = found
        return least <= rows <= most and human == counted

    await wait_until(figures, fit)  # together: rows of what failed may come at any moment


async def test_the_totals_are_what_was_acknowledged_and_what_is_stored(
    copy: RunningCopy, open_tab: OpenTab
) -> None:
    before = await all_stored(copy)
    dashboard, generator = await both(copy, open_tab)
    await generator.page.select_option("#shape", "counter")
    await generator.page.fill("#users", "50")
    await generator.page.click('button[data-rate="10000"]')
    await wait_until(lambda: generator.number("#acknowledged"), lambda n: n >= 20_000)
    await expect(dashboard.page.locator("#received")).not_to_have_text(re.compile(r"^(\u2013|0)$"))
    await generator.shoot("generator")
    await dashboard.shoot("light")
    await end(copy, dashboard, generator, before)
    batches = [text for text in generator.console if text.startswith("batch ")]
    named = sum(int(re.findall(r"(\d+) acknowledged", text)[0]) for text in batches)
    assert named == await generator.number("#acknowledged")
    assert len(await dashboard.said()) < len(batches) / 4  # figures are not said aloud


async def test_a_copy_with_write_keys_is_sent_one(
    copy: RunningCopy, open_tab: OpenTab, tmp_path: Path
) -> None:
    port, given = free_port(), {name: copy.settings[name] for name in ("kafka", "namespace")}
    changes = {"data_dir": tmp_path, "write_keys": "the-key=shop,other=blog"}
    settings = Settings.model_validate({**given, **changes})
    worker = ForkedWorker(worker_settings(settings, "collect", "collect-9", port), tmp_path / "log")
    worker.start()
    try:
        await worker.ready()
        generator = await open_tab()
        await generator.page.goto(f"{worker.url}/generator")
        key, verdict = generator.page.locator("#write-key"), generator.page.locator("#verdict")
        await expect(key).to_be_hidden()
        for wrong in ("", "no-key"):
            if wrong:
                await key.fill(wrong)
            await generator.page.click('button[data-rate="100"]')
            await expect(verdict).to_contain_text("asks for a write key")
            await expect(key).to_be_focused()
        assert await generator.number("#acknowledged") == 0
        await key.fill("other")
        await generator.page.click('button[data-rate="100"]')
        await wait_until(lambda: generator.number("#acknowledged"), lambda n: n > 0)
        await expect(verdict).not_to_contain_text("write key")
        await generator.page.click("#stop")
        await expect(verdict).to_contain_text("Stopped")
    finally:
        await worker.stop()


async def test_without_answers_both_pages_say_so_and_go_on(
    copy: RunningCopy, open_tab: OpenTab
) -> None:
    before = await all_stored(copy)
    dashboard, generator = await both(copy, open_tab)
    await generator.page.fill("#bots", "3")
    await generator.page.click('button[data-rate="1000"]')
    verdict, link = generator.page.locator("#verdict"), dashboard.page.locator("#link")
    await expect(verdict).to_contain_text("Keeping up")
    collector = copy.pid_of("collect-1")
    os.kill(collector, signal.SIGSTOP)
    try:
        await expect(link).to_contain_text(re.compile("^No data for"))
        await expect(verdict).to_contain_text("Cannot keep up")
        assert await generator.number("#late") > 0
        await expect(link).to_contain_text("Reconnecting, no data for")
        await dashboard.shoot("stale")
    finally:
        os.kill(collector, signal.SIGCONT)
    await expect(link).to_have_text(LIVE)
    await expect(verdict).to_contain_text("Keeping up")
    await end(copy, dashboard, generator, before)
