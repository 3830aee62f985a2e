"""A page of the browser that notes what it should not do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page

SCREENSHOTS = Path(__file__).parent / "screenshots"
BUSY = "status of 503"  # the browser names each, and any call may be answered so for a moment
JUMPS_MAX = 0.02  # of a layout shift score; 0.1 is called good, web.dev/articles/cls
# Before anything of the page runs: what moves without being asked to, what is said aloud.
NOTES = """
window.noted = {jumps: [], said: [], pictures: []};
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    const around = ({node}) => (node?.parentElement ?? node)?.outerHTML?.slice(0, 80);
    const nodes = entry.sources.map(around);
    window.noted.jumps.push([entry.value, nodes, entry.startTime]);
  }
}).observe({type: "layout-shift", buffered: true});
document.addEventListener("DOMContentLoaded", () => {
  for (const node of document.querySelectorAll("[aria-live], [role=status], [role=alert]"))
    new MutationObserver(() => window.noted.said.push(node.textContent))
      .observe(node, {childList: true, characterData: true, subtree: true});
});
"""
# A picture of the whole page makes the window as high as the page, and low again.
JUMPS = """(window.noted?.jumps ?? []).filter(([,, at]) =>
  !window.noted.pictures.some(([from, to]) => from <= at && at <= to))"""
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@dataclass
class Tab:
    """Use through the fixture, which checks what was noted once the test is over.

    passing: pattern of what the browser may complain about in this test, beside BUSY.
    """

    page: Page
    faults: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    passing: str = "^$"

    async def watch(self) -> None:
        """Note errors of scripts, the console and the policy, and who is asked for anything."""

        def note(message: ConsoleMessage) -> None:
            self.console.append(message.text)
            if message.type == "error":
                self.faults.append(message.text)

        self.page.on("console", note)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        await self.page.add_init_script(NOTES)

    async def check(self) -> None:
        """Fail on any error, on another host, on a layout that jumped."""
        passing = f"{BUSY}|{self.passing}"
        assert [fault for fault in self.faults if not re.search(passing, fault)] == []
        assert self.hosts <= {urlsplit(self.page.url).netloc}
        jumps = await self.page.evaluate(JUMPS)
        assert sum(value for value, *_ in jumps) <= JUMPS_MAX, jumps

    async def said(self) -> list[str]:
        """Return what a screen reader was told without being asked."""
        said: list[str] = await self.page.evaluate("window.noted.said")
        return said

    async def number(self, selector: str) -> int:
        """Return the number that an element shows."""
        text = await self.page.locator(selector).first.inner_text()
        return int(re.sub(r"\D", "", text) or "0")

    async def shoot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(exist_ok=True)
        await self.page.evaluate("scrollTo(0, 0)")  # the bar at the top stays there
        begun = await self.page.evaluate("performance.now()")
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
        await self.page.evaluate(DRAWN)
        ended = await self.page.evaluate("performance.now()")
        await self.page.evaluate("(span) => window.noted.pictures.push(span)", [begun, ended])
