"""tracker.js on a website of another origin: every view and click is counted, to the event."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import BrowserContext, Page, Request, Route

from tests.support.running_copy import RunningCopy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="package")

HTML = """<!doctype html><title>Shop</title>
<script>window.eventCounter = window.eventCounter || function () {
  (eventCounter.q = eventCounter.q || []).push(arguments) };
  if (location.search === "?early") eventCounter("early");</script>
<script defer src="%s/tracker.js" %s></script>
<button data-event="buy"><b>Buy</b></button> <a href="/two">Two</a> <i id="other">Other</i>
"""


class Site:
    """A website that includes the script. options: of its script tag."""

    def __init__(self, counter: str, origin: str) -> None:
        self.counter, self.origin = counter, origin
        self.app = f"shop-{uuid.uuid4().hex}"
        self.options = f'data-app="{self.app}"'

    async def answer(self, _request: web.BaseRequest) -> web.Response:
        """Serve the same page everywhere."""
        return web.Response(text=HTML % (self.counter, self.options), content_type="text/html")


@pytest_asyncio.fixture(loop_scope="package")
async def site(copy: RunningCopy) -> AsyncIterator[Site]:
    """Serve a website under the origin that the copy takes events from."""
    made = Site(copy.url, copy.settings["origins"])
    address = urlsplit(made.origin)
    runner = web.ServerRunner(web.Server(made.answer))
    await runner.setup()
    await web.TCPSite(runner, address.hostname, address.port).start()
    yield made
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="package")
async def page(context: BrowserContext) -> Page:
    """Return an empty tab."""
    return await context.new_page()


async def rows(copy: RunningCopy, site: Site) -> list[dict[str, Any]]:
    """Return the events of a website that count, in the order in which they came.

    On a slow machine the script may send one again: it is stored, and does not count.
    """
    connection = await asyncpg.connect(copy.settings["postgres"])
    found = await connection.fetch(
        "select type, replace(url, $2, '') url, referrer, user_agent, message_id, properties, value"
        " from event where app_name = $1 and duplicate is not true"
        " order by received_at, kafka_offset",
        site.app,
        site.origin,
    )
    await connection.close()
    return [dict(row) for row in found]


async def told(copy: RunningCopy, site: Site, *expected: tuple[str, str]) -> list[dict[str, Any]]:
    """Wait for exactly these (type, path), in any order; return their rows."""

    async def seen() -> list[tuple[str, str]]:
        return sorted((row["type"], row["url"]) for row in await rows(copy, site))

    await wait_until(seen, sorted(expected))
    return await rows(copy, site)


async def test_views_changes_of_history_and_clicks_are_counted(
    copy: RunningCopy, site: Site, page: Page
) -> None:
    await page.goto(f"{site.origin}/one?early#top")
    await page.wait_for_function("eventCounter.is")
    await page.evaluate("history.pushState({}, '', '/one/a'); history.pushState({}, '', '/one/a')")
    await page.evaluate("history.replaceState({}, '', '/one/b#x'); location.hash = 'y'")
    await page.evaluate("history.go(-2)")
    await page.wait_for_url("**/one/a")
    await page.click("b")
    await page.click("#other")
    await page.evaluate("eventCounter('signup', {plan: 'pro', value: 3, properties: {a: 1}})")
    await page.click("a")
    await page.wait_for_url("**/two")
    found = await told(
        copy,
        site,
        ("early", "/one?early"),
        ("page_view", "/one?early"),
        ("page_view", "/one/a"),
        ("page_view", "/one/b"),
        ("page_view", "/one/a"),
        ("buy", "/one/a"),
        ("signup", "/one/a"),
        ("page_view", "/two"),
    )
    assert len({row["message_id"] for row in found}) == len(found)
    assert all("Chrome/" in row["user_agent"] for row in found)
    views = {row["url"]: row["referrer"] for row in found if row["type"] == "page_view"}
    assert views["/one?early"] is None
    assert views["/one/b"] == f"{site.origin}/one/a"
    assert views["/two"].startswith(f"{site.origin}/one/")
    (signup,) = [row for row in found if row["type"] == "signup"]
    assert json.loads(signup["properties"]) == {"plan": "pro", "a": 1}
    assert signup["value"] == 3


async def test_a_view_is_in_the_counts_and_nothing_stays_in_the_browser(
    copy: RunningCopy, site: Site, page: Page
) -> None:
    await page.goto(f"{site.origin}/{site.app}")

    async def counted() -> Any:
        url = {"url": f"{site.origin}/{site.app}"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{copy.url}/event_track/", json=url) as answer,
        ):
            events = (await answer.json())["events"]
        return {event["type"]: event["count"] for event in events}

    await wait_until(counted, {"CLICK": 0, "VIEW": 0, "page_view": 1})
    names = await page.evaluate(
        "Object.keys(window).filter((name) => /event.?counter/i.test(name))"
    )
    assert names == ["eventCounter"]
    assert await page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == [
        "",
        0,
        0,
    ]


async def test_a_page_that_goes_away_loses_nothing(
    copy: RunningCopy, site: Site, page: Page
) -> None:
    await page.goto(f"{site.origin}/a")
    await page.wait_for_function("eventCounter.is")
    await page.evaluate("for (let n = 0; n < 30; n++) eventCounter('last', {n})")
    await page.close()
    await told(copy, site, ("page_view", "/a"), *[("last", "/a")] * 30)


async def test_what_gets_no_answer_is_sent_again_under_the_same_name(
    copy: RunningCopy, site: Site, page: Page
) -> None:
    sent: list[str] = []
    answers: list[int] = [0, 503, 429]  # no answer, and two that pass

    async def disturb(route: Route, request: Request) -> None:
        sent.append(json.loads(request.post_data or "{}")["message_id"])
        if not answers:
            await route.continue_()
        elif status := answers.pop(0):
            cors = {"access-control-allow-origin": site.origin, "retry-after": "1"}
            await route.fulfill(status=status, headers=cors)
        else:
            await route.abort()

    await page.route("**/events", disturb)
    await page.goto(f"{site.origin}/a")
    found = await told(copy, site, ("page_view", "/a"))
    assert sent == [found[0]["message_id"]] * 4


async def test_what_waits_when_the_page_is_hidden_goes_by_beacon(
    copy: RunningCopy, site: Site, page: Page
) -> None:
    failed: list[str] = []

    async def refuse(route: Route) -> None:
        if route.request.resource_type == "ping":  # a beacon
            await route.continue_()
            return
        failed.append(route.request.url)
        await route.abort()

    await page.route("**/events", refuse)
    await page.goto(f"{site.origin}/a")
    await wait_until(lambda: len(failed), lambda number: number >= 1)
    await page.evaluate("""
        Object.defineProperty(document, "hidden", {value: true});
        document.dispatchEvent(new Event("visibilitychange"));
    """)
    await told(copy, site, ("page_view", "/a"))


@pytest.mark.parametrize(
    ("sign", "value"), [("globalPrivacyControl", "true"), ("doNotTrack", "'1'")]
)
async def test_who_asks_not_to_be_counted_is_not_where_the_site_says_so(
    copy: RunningCopy, site: Site, context: BrowserContext, page: Page, sign: str, value: str
) -> None:
    await context.add_init_script(f"Object.defineProperty(navigator, '{sign}', {{value: {value}}})")
    await page.goto(f"{site.origin}/asked")
    await told(copy, site, ("page_view", "/asked"))  # without data-respect-gpc
    site.options += " data-respect-gpc"
    await page.goto(f"{site.origin}/respected")
    await page.click("b")
    await page.evaluate("eventCounter('signup')")
    site.options = f'data-app="{site.app}"'
    await page.goto(f"{site.origin}/end")
    await told(copy, site, ("page_view", "/asked"), ("page_view", "/end"))


async def test_a_site_of_another_origin_counts_nothing(
    copy: RunningCopy, site: Site, page: Page
) -> None:
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(urlsplit(request.url).path))
    await page.goto(f"{site.origin.replace('127.0.0.1', 'localhost')}/a")
    await wait_until(lambda: "/events" in failed, expected=True)
    await page.goto(f"{site.origin}/end")
    await told(copy, site, ("page_view", "/end"))
