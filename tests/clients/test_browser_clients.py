"""Segment's and Plausible's packages for web pages, unmodified, in Chromium."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from app.names import Names
from app.settings import Settings
from app.stack.ports import free_port
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.clients.others import NODE_MODULES, stored, stored_once
from tests.conftest import MakeSettings
from tests.support.cutting_proxy import CuttingProxy
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

SEGMENT = NODE_MODULES / "@segment" / "analytics-next" / "dist" / "umd"
PLAUSIBLE = NODE_MODULES / "@plausible-analytics" / "tracker" / "plausible.js"
PATH = "/a-page?utm_source=mail"

SEGMENT_PAGE = """<!doctype html><title>Shop</title>
<script src="/packages/index.js"></script>
<script>
  window.sent = (async () => {
    const [analytics] = await AnalyticsNext.AnalyticsBrowser.load(
      { writeKey: 'the-key', cdnURL: 'SERVER' }, BATCHING)
    await analytics.page('Docs', 'Home')
    await analytics.track('Signed Up', { plan: 'pro' })
    await analytics.identify('u1', { email: 'a@b.example' })
    await analytics.track('Bought', { value: 3 })
  })()
</script>"""
PLAUSIBLE_PAGE = """<!doctype html><title>Shop</title>
<script type="module">
  import { init, track } from '/packages/plausible.js'
  const endpoint = 'SERVER/api/event'
  init({ domain: 'shop.example', endpoint, captureOnLocalhost: true })
  window.__plausible = true
  track('Signed Up', { props: { plan: 'pro' }, revenue: { amount: '12.50', currency: 'EUR' },
                       callback: answer => { window.answered = answer.status } })
</script>"""


@pytest.fixture
async def tab() -> AsyncIterator[Page]:
    """Yield a tab of a browser that does not look automatic: some trackers leave robots out."""
    assert CHROMIUM, "no Chromium: install Debian's package chromium"
    async with async_playwright() as driver:
        flags = [*FLAGS, "--disable-blink-features=AutomationControlled"]
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield await browser.new_page(user_agent="Mozilla/5.0 (X11) Chrome/140.0.0.0 Safari/537.36")
        await browser.close()


class Site:
    """A website of another origin, with the packages beside its one page."""

    def __init__(self) -> None:
        port = free_port()
        self.origin, self.port = f"http://localhost:{port}", port
        self.page = f"{self.origin}{PATH}"
        self.html = ""

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        if request.path.startswith("/packages/"):
            return web.FileResponse(PLAUSIBLE if name == PLAUSIBLE.name else SEGMENT / name)
        return web.Response(text=self.html, content_type="text/html")

    async def show(self, tab: Page, html: str) -> None:
        self.html = html
        await tab.goto(self.page, referer=f"{self.origin}/from")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Yield a website that is served."""
    made = Site()
    runner = web.ServerRunner(web.Server(made.serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


@pytest.fixture
async def settings(make_settings: MakeSettings, site: Site) -> Settings:
    """Return settings that let the pages of the site send events."""
    return await make_settings(origins=site.origin)


@pytest.mark.parametrize("batching", ["single", "batching"])
async def test_segment_for_the_browser(
    http: Http, kafka: KafkaClient, topics: Names, site: Site, tab: Page, batching: str
) -> None:
    strategy = {"strategy": "batching", "config": {"size": 2, "timeout": 100}}
    options = {"integrations": {"Segment.io": {"deliveryStrategy": strategy}}}
    given = json.dumps(options if batching == "batching" else {})
    async with CuttingProxy(http.url) as proxy:
        proxy.lose_answer_to = b"POST /v1/b " if batching == "batching" else b"POST /v1/t "
        page = SEGMENT_PAGE.replace("BATCHING", given).replace("SERVER", proxy.url)
        await site.show(tab, page)
        await tab.evaluate("window.sent")

        async def found() -> tuple[list[str], int]:
            events, again = await stored_once(kafka, topics)
            return [event["type"] for event in events], again

        types = ["Bought", "Signed Up", "identify", "page_view"]
        await wait_until(found, lambda got: got[0] == types and got[1] > 0)
    events, _ = await stored_once(kafka, topics)
    bought, signed, identify, view = events
    assert (view["url"], view["category"], view["properties"]["title"]) == (
        site.page,
        "Docs",
        "Shop",
    )
    assert (signed["url"], signed["properties"]) == (site.page, {"plan": "pro"})
    assert bought["user_id"] == identify["user_id"] == "u1"
    assert signed["user_id"] not in {"u1", None}
    assert all("Chrome/140" in event["user_agent"] for event in events)


async def test_plausible_in_the_browser(
    http: Http, kafka: KafkaClient, topics: Names, site: Site, tab: Page
) -> None:
    await site.show(tab, PLAUSIBLE_PAGE.replace("SERVER", http.url))

    async def found() -> list[dict[str, Any]]:
        return sorted(await stored(kafka, topics), key=lambda event: str(event["type"]))

    signed, view = await wait_until(found, lambda events: len(events) == 2)
    await tab.wait_for_function("window.answered")
    assert await tab.evaluate("window.answered") == 202
    for event in (signed, view):
        assert event["url"] == site.page
        assert event["referrer"] == f"{site.origin}/from"
        assert event["app_name"] == "shop.example"
        assert "Chrome/140" in event["user_agent"]
    assert (view["type"], signed["type"]) == ("page_view", "Signed Up")
    assert signed["value"] == 12.5
    assert signed["properties"] == {
        "plan": "pro",
        "revenue": {"amount": "12.50", "currency": "EUR"},
    }
