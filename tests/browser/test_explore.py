"""The page of one counter: the same figures as Postgres, and an address that holds the choice."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import asyncpg
import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.support import post_counted
from tests.browser.tab import Tab
from tests.browser.test_people import AXE, FAULTS
from tests.support.running_copy import RunningCopy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="package")

PREFIX = "/explored/"
TYPE = "explored"
WIDTHS = (360, 768, 1280)


async def in_postgres(copy: RunningCopy, begin: datetime, end: datetime) -> dict[str, int]:
    """Return {url: events} of [begin, end)."""
    connection = await asyncpg.connect(copy.settings["postgres"])
    rows = await connection.fetch(
        "select url, count(*) n from human_event where url like $1 || '%' "
        "and datetime >= $2 and datetime < $3 group by url",
        PREFIX,
        begin,
        end,
    )
    await connection.close()
    return {row["url"]: row["n"] for row in rows}


async def explore(copy: RunningCopy, page: Page, **choice: str) -> None:
    """Open the page with a choice in its address."""
    await page.goto(f"{copy.url}/explore?{urlencode(choice)}")


async def test_a_range_and_the_one_before_are_those_of_postgres(
    copy: RunningCopy, tab: Tab
) -> None:
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    pages = {"a": (600, 400), "b": (500, 200)}  # today, yesterday
    for name, counts in pages.items():
        for ago, count in enumerate(counts):
            at = (midnight - timedelta(days=ago)).isoformat()
            event = {"type": TYPE, "url": PREFIX + name, "timestamp": at}
            await post_counted(copy, *[event] * count)
    page = tab.page
    day = f"{now:%Y-%m-%d}"
    await wait_until(
        lambda: in_postgres(copy, midnight - timedelta(days=1), now + timedelta(days=1)),
        {f"{PREFIX}a": 1000, f"{PREFIX}b": 700},
    )
    await explore(copy, page, key=f"{PREFIX}a", **{"from": day, "to": day}, label=TYPE)
    await expect(page.locator("#total")).to_have_text("600")
    await expect(page.locator("#total-before")).to_have_text("400")
    await expect(page.locator("#difference")).to_have_text("+50 %")
    await expect(page.locator("#chart canvas")).to_be_visible()
    top = page.locator("#top-rows tr")
    await expect(top.nth(0)).to_contain_text(f"{PREFIX}a")
    await expect(top.nth(0)).to_contain_text("600")
    await page.locator("#top-rows a", has_text=f"{PREFIX}b").click()
    await expect(page.locator("#total")).to_have_text("500")
    await page.reload()
    await expect(page.locator("#key")).to_have_value(f"{PREFIX}b")
    await expect(page.locator("#total")).to_have_text("500")
    assert (
        await page.request.get(f"{copy.url}/{await page.locator('#csv').get_attribute('href')}")
    ).ok


async def test_an_address_sets_the_fields_of_the_choice_and_nothing_else(
    copy: RunningCopy, tab: Tab
) -> None:
    strange = {"__proto__": "x", "constructor": "y", "label": "constructor"}
    await explore(copy, tab.page, key=f"{PREFIX}none", by="1d", **strange)
    await expect(tab.page.locator("#label")).to_have_value("constructor")
    await expect(tab.page.locator("#total")).to_have_text("0")
    await expect(tab.page.locator("#by")).to_have_value("1d")
    await expect(tab.page.locator("#counter option").first).to_be_attached()
    assert await tab.page.evaluate("[({}).value ?? null, Object.value ?? null]") == [None, None]


async def test_keys_are_found_by_their_beginning_and_the_keyboard_is_enough(
    copy: RunningCopy, tab: Tab
) -> None:
    page = tab.page
    await explore(copy, page, counter="events_by_url")
    await expect(page.locator("#from")).to_be_disabled()
    await page.focus("#key")
    await page.keyboard.type(PREFIX)
    await expect(page.locator("#keys option").first).to_have_attribute("value", f"{PREFIX}a")
    await page.keyboard.type("a")
    await page.keyboard.press("Enter")
    await expect(page.locator("#total")).to_have_text("1,000")
    assert "key=%2Fexplored%2Fa" in page.url
    await expect(page.locator("#said")).to_have_text(re.compile("shown"))


async def test_it_fits_each_screen_and_axe_finds_nothing(copy: RunningCopy, tab: Tab) -> None:
    page = tab.page
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
        for width in WIDTHS:
            await page.set_viewport_size(ViewportSize(width=width, height=900))
            await explore(copy, page, key=f"{PREFIX}a")
            await expect(page.locator("#total")).to_have_text("1,000")
            await expect(page.locator("#chart canvas")).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            await tab.shoot(f"explore-{scheme}-{width}")
        await page.evaluate(AXE.read_text("utf-8"))
        assert await page.evaluate(FAULTS) == []


async def test_the_back_button_goes_back_and_a_pin_is_on_the_dashboard(
    copy: RunningCopy, tab: Tab
) -> None:
    page = tab.page
    await explore(copy, page, counter="events_by_url", key=f"{PREFIX}a")
    await expect(page.locator("#total")).to_have_text("1,000")
    await page.locator("#top-rows a", has_text=f"{PREFIX}b").click()
    await expect(page.locator("#total")).to_have_text("700")
    await page.fill("#key", f"{PREFIX}a")
    await page.keyboard.press("Enter")
    await expect(page.locator("#total")).to_have_text("1,000")
    await page.go_back()
    await expect(page.locator("#key")).to_have_value(f"{PREFIX}b")
    await expect(page.locator("#total")).to_have_text("700")
    pin = page.locator("#pin")
    await pin.focus()
    await page.keyboard.press("Enter")
    await expect(pin).to_have_attribute("aria-pressed", "true")
    await page.goto(copy.url)
    row = page.locator("#pinned-rows tr")
    await expect(row).to_contain_text("700")
    await tab.shoot("dashboard-pinned")
    await row.locator("a").click()
    await expect(page.locator("#total")).to_have_text("700")
    await page.locator("#pin").click()
    await page.goto(copy.url)
    await expect(page.locator("#pinned")).to_be_hidden()


@pytest.mark.parametrize(
    ("answer", "label", "expected"),
    [
        ({"total": {"a": 2, "b": 3}}, "", 5),
        ({"total": {"a": 2, "b": 3}, "error": 0}, "", None),
        ({"total": {"a": 2, "b": 3}, "error": 0.03}, "b", 3),
        ({"total": {"": 7}, "error": 0}, "", 7),
        ({"total": {}, "error": 0}, "", 0),
    ],
)
async def test_distinct_values_of_several_labels_are_not_added_up(
    copy: RunningCopy, tab: Tab, answer: dict[str, object], label: str, expected: int | None
) -> None:
    await explore(copy, tab.page)
    asked = "async ([answer, label]) => (await import('./static/span.js')).totalOf(answer, label)"
    assert await tab.page.evaluate(asked, [answer, label]) == expected
