"""For everybody: keyboard, screen reader, colours, small and wide screens, calm ones."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.support import post
from tests.browser.tab import Tab
from tests.support.running_copy import RunningCopy
from tests.support.waiting import wait_until
from web.pages.files import HERE

pytestmark = pytest.mark.asyncio(loop_scope="package")

AXE = HERE / "node_modules/axe-core/axe.min.js"  # installed with the charts
CHARTS = {"#rates": 4, "#url-chart": 5}  # number of series
WIDTHS = (360, 600, 900, 1440, 2560)
FAULTS = """async () => {
  const {violations} = await axe.run(document, {resultTypes: ["violations"]});
  return violations.flatMap(({id, nodes}) =>
    nodes.map(({html, failureSummary}) => [id, html, failureSummary]));
}"""
# Where the focus is, whether one sees that, and whether something lies over it.
FOCUS = """() => {
  const node = document.activeElement, style = getComputedStyle(node);
  const seen = window.reached ??= new Set(), last = [...seen].at(-1);
  const known = node === document.body || seen.has(node);
  seen.add(node);
  const {left, top, width, height} = node.getBoundingClientRect();
  const at = document.elementFromPoint(left + width / 2, top + Math.min(height / 2, 20));
  return {name: node.id || node.textContent.trim(), same: node === last, known,
    outline: parseFloat(style.outlineWidth), style: style.outlineStyle,
    free: node === at || node.contains(at) || !!at?.contains(node)};
}"""
CROWDED = """() => {
  const root = document.documentElement;
  const whole = "h1, h2, button, .figure, .pill, dd, nav a, th:not(.cut)";
  const cut = [...document.querySelectorAll(whole)]
    .filter((node) => node.offsetParent && node.clientWidth > 1)
    .filter((node) => node.scrollWidth > node.clientWidth + 1)
    .map((node) => node.outerHTML.slice(0, 100));
  return {wider: Math.max(0, root.scrollWidth - root.clientWidth), cut};
}"""
# Contrast of WCAG 2.2, of each series against the card.
CONTRAST = """() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue(`--${name}`).trim().slice(1);
    const parts = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  return ["received", "counted", "stored", "rejected", "soft"].map((name) => {
    const [low, high] = [light(name), light("card")].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
}"""
# Names in a legend that one cannot see whole, or that lie outside its chart.
CUT_LEGENDS = """() => [...document.querySelectorAll(".u-series")]
  .filter((node) => node.offsetParent)
  .filter((node) => {
    const [chart, own] = [node.closest(".chart"), node].map((box) => box.getBoundingClientRect());
    const label = node.querySelector(".u-label");
    return own.bottom > chart.bottom + 1 || own.right > chart.right + 1
      || label.scrollWidth > label.clientWidth + 1;
  })
  .map((node) => node.textContent)"""
SAY = """async (texts) => {
  const {say} = await import("/static/dom.js");
  texts.forEach(say);
}"""
MARKS = """(chart) =>
  [...document.querySelectorAll(`${chart} .u-series:not(:first-child) .u-marker`)]
  .map((node) => getComputedStyle(node).background.replace(/rgba?\\([^)]*\\)/g, ""))"""


async def show(copy: RunningCopy, page: Page) -> None:
    """Open the dashboard with something in each card."""
    event = {"url": "/full", "user_id": "u", "session_id": "s"}
    kinds = ("VIEW", "CLICK", "search", "cart", "purchase", "PageView")
    await post(copy, *({**event, "type": kind} for kind in kinds))
    await page.goto(copy.url)
    await page.fill("#url-text", "/full")
    await page.press("#url-text", "Enter")
    await page.fill("#user-text", "u")
    await page.press("#user-text", "Enter")
    for card in ("url", "sessions", "totals", "health", "ads"):
        await expect(page.locator(f"#{card}")).to_have_attribute("data-state", "ready")


async def drawn(page: Page) -> None:
    """Wait until the charts have their legends: series, and the time."""
    for chart, number in CHARTS.items():
        await expect(page.locator(f"{chart} .u-series")).to_have_count(number + 1)


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the script that knows the rules; policies are not for what a debugger runs."""
    return AXE.read_text("utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_no_rule_of_accessibility_is_broken(
    copy: RunningCopy, tab: Tab, axe: str, theme: Literal["light", "dark"]
) -> None:
    page = tab.page
    await page.emulate_media(color_scheme=theme)
    await show(copy, page)
    await tab.shoot(f"{theme}-full")
    for summary in await page.locator("summary").all():
        await summary.click()
    await expect(page.locator("#rates-rows tr")).not_to_have_count(0)
    await page.evaluate(axe)
    assert await page.evaluate(FAULTS) == []
    assert min(await page.evaluate(CONTRAST)) >= 3
    await page.goto(f"{copy.url}/generator")
    await expect(page.locator("#speed-chart canvas")).to_be_visible()
    await page.evaluate(axe)
    assert await page.evaluate(FAULTS) == []


async def test_series_differ_by_more_than_their_colour(copy: RunningCopy, tab: Tab) -> None:
    await show(copy, tab.page)
    await drawn(tab.page)
    for chart, number in CHARTS.items():
        marks = await tab.page.evaluate(MARKS, chart)
        assert len(set(marks)) == number, marks


async def test_all_is_reached_by_keyboard_in_the_order_it_is_seen(
    copy: RunningCopy, tab: Tab
) -> None:
    page = tab.page
    await show(copy, page)
    await page.reload()
    await expect(page.locator("#health")).to_have_attribute("data-state", "ready")
    reached: list[str] = []
    for _ in range(100):
        await page.keyboard.press("Tab")
        focus = await page.evaluate(FOCUS)
        if focus["same"]:
            continue  # a date has more than one place to stop at
        if focus["known"]:
            break
        assert focus["free"], focus
        assert focus["style"] != "none", focus
        assert focus["outline"] >= 2, focus
        reached.append(focus["name"])
    pages = ["Dashboard", "Explore", "Load generator"]
    assert reached[:6] == ["Skip to the figures", *pages, "zone", "theme"]
    asked = ["url-text", "day-before", "url-date", "day-after", "user-text", "ads-month", "ads-id"]
    assert [name for name in reached if name in asked] == asked


@pytest.mark.parametrize("width", [360, 768, 1440])
async def test_no_name_in_a_legend_is_cut(copy: RunningCopy, tab: Tab, width: int) -> None:
    await show(copy, tab.page)
    await tab.page.set_viewport_size({"width": width, "height": 900})
    await expect(tab.page.locator("#url-chart .u-series")).to_have_count(6)
    await wait_until(lambda: tab.page.evaluate(CUT_LEGENDS), [], deadline_s=30)


async def test_forced_colours_keep_the_marks_of_the_legends(copy: RunningCopy, tab: Tab) -> None:
    page = tab.page
    await show(copy, page)
    await drawn(page)
    before = [await page.evaluate(MARKS, chart) for chart in CHARTS]
    await page.emulate_media(forced_colors="active")
    assert [await page.evaluate(MARKS, chart) for chart in CHARTS] == before
    await tab.shoot("forced-colours")


@pytest.mark.parametrize("path", ["/", "/generator"])
async def test_it_fits_every_width(copy: RunningCopy, tab: Tab, path: str) -> None:
    page = tab.page
    await show(copy, page)
    if path != "/":
        await page.goto(copy.url + path)
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate(CROWDED) == {"wider": 0, "cut": []}, width
        if width == min(WIDTHS):
            await tab.shoot("phone" if path == "/" else "phone-generator")
    await page.emulate_media(color_scheme="dark")
    root = page.locator("html")
    await expect(root).to_have_attribute("data-theme", "dark")
    await tab.shoot("dark" if path == "/" else "dark-generator")
    await page.click("#theme")
    await expect(root).to_have_attribute("data-theme", "light")


async def test_what_is_said_at_once_is_said_together(copy: RunningCopy, tab: Tab) -> None:
    """A screen reader finds only the last of several texts that follow each other in one place."""
    page = tab.page
    await page.goto(f"{copy.url}/generator")  # which says nothing by itself
    await page.evaluate(SAY, ["2 new alerts", "count-1: running", "Live"])
    await page.wait_for_function("window.noted.said.length > 0")
    assert await tab.said() == ["2 new alerts. count-1: running. Live"]
    await page.evaluate(SAY, ["Paused"])
    await page.wait_for_function("window.noted.said.length > 1")
    assert (await tab.said())[1:] == ["Paused"]


async def test_nothing_turns_for_who_wants_no_motion(copy: RunningCopy, tab: Tab) -> None:
    page = tab.page
    turning = "getComputedStyle(document.querySelector('#totals .note'), '::before').animationName"
    await page.route("**/stream", lambda _: None)  # no answer: it goes on loading
    await page.goto(copy.url)
    await expect(page.locator("#totals .note")).to_have_text("Loading…")
    assert await page.evaluate(turning) == "turn"
    await tab.shoot("loading")
    await page.emulate_media(reduced_motion="reduce")
    assert await page.evaluate(turning) == "none"


async def test_nothing_is_called_fine_before_it_is_known(copy: RunningCopy, tab: Tab) -> None:
    page = tab.page
    await page.clock.install()
    await page.route("**/stream", lambda _: None)
    await page.goto(copy.url)
    await page.clock.run_for(2000)  # what is shown is made anew each second
    await expect(page.locator("#health .note")).to_have_text("Loading…")
    await expect(page.locator("#health-all")).to_have_text("")
