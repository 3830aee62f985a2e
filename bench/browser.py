"""What a newcomer does: run, open the pages, press 10,000, watch, stop, compare with Postgres.

A real Chromium has the dashboard and the generator open. Browser, Kafka, Postgres and all workers
share the machine. --pictures: where to put pictures of the dashboard at work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal

import asyncpg
import msgspec
from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from app.stack.ports import free_port
from bench.support.peer import ROOT
from bench.support.results import Report, options

RATE = 10_000
WARM_S = 5.0  # other shapes before, so that each card has something to show
SETTLE_S = 5.0  # after a change, until it is steady
PATIENCE_S = 60.0
PICTURE: ViewportSize = {"width": 1280, "height": 1060}
# Each point redraws the lines and says so in their label; a page that is not live has its state.
WATCH = """() => {
  window.noted = {gap: 0, dead: 0};
  let last = performance.now();
  new MutationObserver(() => {
    const now = performance.now();
    window.noted.gap = Math.max(window.noted.gap, now - last);
    last = now;
  }).observe(document.getElementById("rates"), {attributes: true, attributeFilter: ["aria-label"]});
  new MutationObserver(() => { if (document.body.dataset.link !== "live") window.noted.dead += 1; })
    .observe(document.body, {attributes: true, attributeFilter: ["data-link"]});
}"""


@contextlib.contextmanager
def copy(folder: Path) -> Iterator[str]:
    """Run everything as `make run` does; yield the address once it is ready."""
    port = free_port()
    given = {"EVENT_COUNTER_DATA_DIR": str(folder / "data"), "EVENT_COUNTER_HTTP_PORT": str(port)}
    out = folder / "run.log"
    with out.open("wb") as log:
        command = [sys.executable, "-m", "app.cli", "run"]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **given}, stdout=log)
    try:
        until = time.monotonic() + PATIENCE_S
        while "Ready after" not in out.read_text("utf-8"):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(out.read_text("utf-8"))
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run Debian's Chromium, or the one that playwright brought."""
    found = shutil.which("chromium")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def number(page: Page, selector: str) -> int:
    """Return the number that an element shows."""
    return int(re.sub(r"\D", "", await page.inner_text(selector)) or "0")


async def reached(page: Page, selector: str, wanted: int) -> int:
    """Return what an element shows at last, once it is wanted or patience ends."""
    until = time.monotonic() + PATIENCE_S
    while (shown := await number(page, selector)) != wanted and time.monotonic() < until:
        await asyncio.sleep(0.2)
    return shown


async def stored(folder: Path, wanted: int) -> tuple[int, int]:
    """Return the rows of the table event, once as many as wanted or patience ends, and humans'."""
    run = msgspec.json.decode((folder / "data" / "run.json").read_bytes())
    connection = await asyncpg.connect(run["postgres"])
    try:
        until = time.monotonic() + PATIENCE_S
        while True:
            rows: int = await connection.fetchval("select count(*) from event")
            if rows == wanted or time.monotonic() > until:
                return rows, await connection.fetchval("select count(*) from human_event")
            await asyncio.sleep(0.5)
    finally:
        await connection.close()


async def press(generator: Page, shape: str, rate: int, bots: int = 0) -> None:
    """Send events of a shape from now on."""
    await generator.select_option("#shape", shape)
    await generator.fill("#bots", str(bots))
    await generator.click(f'button[data-rate="{rate}"]')


async def watch(
    dashboard: Page, generator: Page, report: Report, chosen: argparse.Namespace
) -> None:
    """Press the button, watch, stop."""
    await press(generator, "ads", 1000)
    await asyncio.sleep(WARM_S)
    await press(generator, "analytics", RATE, bots=20)
    await dashboard.fill("#url-text", "/")
    await dashboard.press("#url-text", "Enter")
    await asyncio.sleep(SETTLE_S)
    await dashboard.evaluate(WATCH)
    before, began = await number(generator, "#acknowledged"), time.perf_counter()
    await asyncio.sleep(chosen.seconds)
    after, ended = await number(generator, "#acknowledged"), time.perf_counter()
    noted = await dashboard.evaluate("window.noted")
    if chosen.pictures:
        await pictures(dashboard, chosen.pictures)
    await generator.click("#stop")
    while "Stopped" not in await generator.inner_text("#verdict"):
        await asyncio.sleep(0.1)
    speed = (after - before) / (ended - began)
    report.check("acknowledged", speed, "events/s", at_least=0.99 * RATE)
    report.check("longest wait of the dashboard for a point", noted["gap"] / 1000, "s", at_most=3)
    report.check("times that the dashboard was not live", noted["dead"], "", at_most=0)
    report.check("failed", await number(generator, "#failed"), "events", at_most=0)
    report.figure("left out, too late", await number(generator, "#late"), "events")


async def compare(dashboard: Page, generator: Page, report: Report, folder: Path) -> None:
    """Compare what was acknowledged with Postgres, and Postgres with the page, to the event."""
    sent = await number(generator, "#acknowledged")
    report.figure("acknowledged in all", sent, "events")
    rows, human = await stored(folder, sent)
    report.check("acknowledged and not in Postgres", abs(sent - rows), "events", at_most=0)
    report.figure("of them page views of bots, which do not count", rows - human, "events")
    shown = await reached(dashboard, "#totals-all", human)
    report.check("missing in the totals of the page", abs(human - shown), "events", at_most=0)


async def pictures(page: Page, folder: Path) -> None:
    """Take the dashboard, light and dark."""
    themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for theme in themes:
        await page.emulate_media(color_scheme=theme)
        await asyncio.sleep(0.5)
        await page.screenshot(path=folder / f"dashboard-{theme}.png")


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=1)
    parser.add_argument("--seconds", type=float, default=120.0, help="default: %(default)s")
    parser.add_argument("--pictures", type=Path, help="a folder")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds = 10.0
    report = Report("browser", chosen)
    report.note("Browser, Kafka, Postgres and all workers share the cores.")
    for _ in range(chosen.repeats):
        with tempfile.TemporaryDirectory(prefix="event-counter-bench-") as name:
            folder = Path(name)
            with copy(folder) as url:
                async with chromium() as browser:
                    dashboard = await browser.new_page(viewport=PICTURE)
                    generator = await browser.new_page()
                    await dashboard.goto(url)
                    await generator.goto(f"{url}/generator")
                    await watch(dashboard, generator, report, chosen)
                    await compare(dashboard, generator, report, folder)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
