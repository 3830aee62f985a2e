"""Statistics over three count workers, equal to a count by hand."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio

from app.kafka.topics import ensure_topics
from app.settings import Settings
from app.stack.kafka import Kafka
from app.stack.ports import free_port
from app.stack.workers import WorkerProcess, worker_settings
from tests.support.analytics import Event, analytics
from tests.support.forked import ForkedWorker
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENT = 1000
BOTS = {"bot_1": 37, "bot_2": 11}  # page views of one moment each
BOT_LIMIT = 10
AGO_S = (0, 37, 3600, 5000, 9000)  # how long before sent_at() the moments lie that are asked about
ADS = ("34", "ad/35")


@cache
def sent_at() -> datetime:
    """Return before which all was sent; seconds are kept for two hours, which others may take."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Scene:
    """Three count workers and a collector that took some events."""

    http: aiohttp.ClientSession
    workers: list[WorkerProcess]
    collector: WorkerProcess
    events: list[Event]

    async def ask(self, path: str, url: str = "") -> Any:
        """Return the JSON of an answer with 200."""
        async with self.http.get((url or self.collector.url) + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    kafka_part: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    """Yield workers that have counted some events."""
    folder = tmp_path_factory.mktemp("stats")
    settings = Settings(
        kafka=kafka_part.address, namespace="stats.", data_dir=folder, http_port=free_port()
    )
    await ensure_topics(settings)

    def worker(role: Any, name: str, port: int, urls: str = "") -> WorkerProcess:
        return ForkedWorker(
            worker_settings(settings, role, name, port, urls), folder / f"{name}.log"
        )

    counting = [worker("count", f"count-{n}", free_port()) for n in range(3)]
    urls = ",".join(one.url for one in counting)
    collector = worker("collect", "collect-1", settings.http_port, urls)
    async with aiohttp.ClientSession() as http:
        for one in (*counting, collector):
            one.start()
        for one in (*counting, collector):
            await one.ready()
        events = analytics(random.Random(1), sent_at(), SENT, BOTS)
        made = Scene(http, counting, collector, events)
        body = gzip.compress("\n".join(map(json.dumps, events)).encode())
        packed = {"Content-Encoding": "gzip"}
        async with http.post(f"{collector.url}/events", data=body, headers=packed) as answer:
            assert (await answer.json())["accepted"] == SENT
        await wait_until(lambda: _counted(made), SENT, deadline_s=30, passing=(AssertionError,))
        yield made
        for one in (*counting, collector):
            one.child.kill()


async def _counted(scene: Scene) -> Any:
    counted = await scene.ask("/counts/events_by_type")
    left_out = await scene.ask("/counts/bot_views_by_type")
    return sum([*counted["total"].values(), *left_out["total"].values()])


def within(events: list[Event], window_s: int, ago_s: int = 0) -> tuple[list[Event], Counter[str]]:
    """Return the events of a window that count, and how many of each user do not.

    ago_s: how long before sent_at() the window ends.
    """
    end = sent_at() + timedelta(seconds=1 - ago_s)  # its own second is the last
    begin = end - timedelta(seconds=window_s)
    seen: Counter[tuple[str, str]] = Counter()
    counted, dropped = [], Counter[str]()
    for event in events:
        if not begin <= datetime.fromisoformat(event["timestamp"]) < end:
            continue
        moment = event["user_id"], event["timestamp"]
        seen[moment] += event["event_type"] == "page_view"
        if event["event_type"] == "page_view" and seen[moment] > BOT_LIMIT:
            dropped[event["user_id"]] += 1
        else:
            counted.append(event)
    return counted, dropped


def time_of(event: Event) -> datetime:
    """Return when it happened."""
    return datetime.fromisoformat(event["timestamp"])


def views(events: list[Event], window_s: int, ago_s: int = 0) -> list[Event]:
    """Return the page views of a window that count; as within()."""
    counted, _ = within(events, window_s, ago_s)
    return [event for event in counted if event["event_type"] == "page_view"]


def query(ago_s: int = 0, **args: object) -> str:
    """Return arguments, with the moment that is asked about, so long before sent_at()."""
    given = {"at": (sent_at() - timedelta(seconds=ago_s)).isoformat()} | args
    return "&".join(f"{name}={quote(str(value))}" for name, value in given.items())


@pytest.mark.parametrize(("window", "limit"), [(3600, 5), (61, 1000), (5400, 40), (86_400, 1000)])
async def test_top_pages_equal_a_count_by_hand_at_every_worker(
    scene: Scene, window: int, limit: int
) -> None:
    for ago in AGO_S:
        seen = Counter(event["page_url"] for event in views(scene.events, window, ago))
        ranked = sorted(seen.items(), key=lambda one: (-one[1], one[0]))[:limit]
        pages = [{"page": page, "views": count} for page, count in ranked]
        expected = {"window_s": window, "pages": pages}
        path = f"/stats/top_pages?{query(ago, window=window, limit=limit)}"
        for one in (*scene.workers, scene.collector):
            if ago:
                assert await scene.ask(path, one.url) == expected
            else:
                await wait_until(partial(scene.ask, path, one.url), expected)


@pytest.mark.parametrize("ago", AGO_S)
@pytest.mark.parametrize("window", [60, 1800, 3600, 86_400])
async def test_users_bots_and_sessions_equal_a_count_by_hand(
    scene: Scene, window: int, ago: int
) -> None:
    counted, dropped = within(scene.events, window, ago)
    users = {event["user_id"] for event in counted}
    asked = query(ago, window=window)
    expected = {"window_s": window, "active_users": len(users), "error": 0.0}
    for one in (*scene.workers, scene.collector):
        assert await scene.ask(f"/stats/active_users?{asked}", one.url) == expected
    found = await scene.ask(f"/stats/bots?{asked}")
    listed = [{"user_id": user, "dropped": n} for user, n in dropped.most_common()]
    assert found == {"window_s": window, "dropped": dropped.total(), "users": listed}
    for number, user in enumerate(["usr_1", "usr_2", "bot_1", "nobody", "a/b é"]):
        path = f"/stats/users/{quote(user, safe='')}/sessions?{asked}"
        own = [event for event in counted if event["user_id"] == user]
        for one in (scene.workers[number % 3], scene.collector):
            assert await scene.ask(path, one.url) == sessions_by_hand(user, own)


def sessions_by_hand(user: str, events: list[Event]) -> object:
    """Return the answer of /sessions."""
    seen: dict[str, list[str]] = {}
    for event in events:
        seen.setdefault(event["session_id"], []).append(event["timestamp"])
    sessions = [
        {
            "session_id": session,
            "first_seen": short(min(times)),
            "last_seen": short(max(times)),
            "events": len(times),
        }
        for session, times in sorted(seen.items(), key=lambda one: max(one[1]), reverse=True)
    ]
    return {"user_id": user, "active_sessions": len(sessions), "sessions": sessions}


def short(moment: str) -> str:
    """Return an isoformat() as the answers write it."""
    moment, _, decimals = moment.removesuffix("+00:00").partition(".")
    return f"{moment}.{decimals.rstrip('0')}Z" if decimals else f"{moment}Z"


@pytest.mark.parametrize("website", ["shop.example", "Shop.EXAMPLE", "", "nobody.example"])
@pytest.mark.parametrize(("hours_ago", "limit"), [(0, 1000), (1, 3)])
async def test_page_views_equal_a_count_by_hand(
    scene: Scene, website: str, hours_ago: int, limit: int
) -> None:
    at = sent_at() - timedelta(hours=hours_ago)
    end = at.replace(minute=0, second=0) + timedelta(hours=1)
    seen: Counter[str] = Counter()
    for event in views(scene.events, 86_400):
        host, _, path = event["page_url"].removeprefix("https://").partition("/")
        if datetime.fromisoformat(event["timestamp"]) < end and host == website.lower():
            seen[path.rpartition("/")[2] or "root"] += 1
    ranked = sorted(seen.items(), key=lambda one: (-one[1], one[0]))[:limit]
    pages = [{"page": page, "views": count} for page, count in ranked]
    expected = {"website": website, "views": seen.total(), "pages": pages}
    path = f"/stats/page_views?{query(website=website, limit=limit, at=at.isoformat())}"
    for one in (*scene.workers, scene.collector):
        assert await scene.ask(path, one.url) == expected


@pytest.mark.parametrize("ago", AGO_S)
async def test_top_keys_of_counters_equal_a_count_by_hand(scene: Scene, ago: int) -> None:
    at = sent_at() - timedelta(seconds=ago)
    end = at.replace(minute=0, second=0) + timedelta(hours=1)
    hours = [e for e in within(scene.events, 86_400)[0] if time_of(e) < end]
    asked = (
        ("events_by_url_hourly", "page_url", None),
        ("events_by_url_hourly", "page_url", "add_to_cart"),
        ("page_views_by_page_hourly", "page_url", "page_view"),
    )
    for counter, key, label in asked:
        chosen = (event for event in hours if label in (None, event["event_type"]))
        seen = Counter(event[key] for event in chosen)
        ranked = sorted(seen.items(), key=lambda one: (-one[1], one[0]))[:3]
        expected = {"counter": counter, "keys": [{"key": k, "value": n} for k, n in ranked]}
        args = {"limit": 3} | ({"label": label} if label == "add_to_cart" else {})
        path = f"/counts/{counter}/top?{query(ago, **args)}"
        for one in (*scene.workers, scene.collector):
            assert await scene.ask(path, one.url) == expected


async def test_pages_of_keys_together_are_all_keys(scene: Scene) -> None:
    for counter in ("events_by_url", "page_views_by_page_hourly"):
        pages, after = list[str](), ""
        while True:
            answer = await scene.ask(f"/counts/{counter}/keys?limit=2&prefix=https:{after}")
            pages += answer["keys"]
            if answer["next"] is None:
                break
            after = f"&after={quote(answer['next'], safe='')}"
        counted, _ = within(scene.events, 86_400)
        wanted = {event["page_url"] for event in counted if event["page_url"].startswith("https:")}
        assert pages == sorted(wanted)


async def test_what_nobody_did_is_nothing(scene: Scene) -> None:
    long_ago = quote((sent_at() - timedelta(days=20)).isoformat())
    found = await scene.ask(f"/stats/top_pages?window=60&at={long_ago}")
    assert found == {"window_s": 60, "pages": []}
    found = await scene.ask(f"/stats/users/nobody/sessions?window=2678400&at={long_ago}")
    assert found == {"user_id": "nobody", "active_sessions": 0, "sessions": []}


async def test_with_one_worker_killed_an_answer_is_whole_or_503(scene: Scene) -> None:
    """Comes last: it leaves two workers."""
    gathered = [
        f"/stats/top_pages?{query(window=5400, limit=1000)}",
        f"/stats/bots?{query(window=5400)}",
        f"/stats/users/usr_1/sessions?{query(window=5400)}",
    ]
    owned = [  # each by one worker; the dead one had some of them
        f"/stats/active_users?{query(window=5400)}",
        f"/stats/ads?{query()}",
        *(f"/stats/ads/{quote(ad, safe='')}?{query()}" for ad in ADS),
        *(f"/stats/page_views?{query(website=website)}" for website in ("shop.example", "", "x")),
        *(f"/counts/events_by_url?key={quote(f'/p/{n}é')}" for n in range(12)),
    ]
    whole = {path: await scene.ask(path) for path in (*gathered, *owned)}
    dead = scene.workers[2]
    dead.child.kill()
    passing: Counter[str] = Counter()

    async def is_whole(path: str, url: str) -> bool:
        async with scene.http.get(url + path) as answer:
            if answer.status == 503:
                passing[path] += 1
                assert int(answer.headers["Retry-After"]) >= 1
                return False
            assert (answer.status, await answer.json()) == (200, whole[path])
            return True

    for path in gathered:
        assert not await is_whole(path, scene.workers[0].url)
    for path in owned:
        await is_whole(path, scene.workers[0].url)
    assert set(passing) & set(owned), "the dead worker owned some"
    for url in (scene.workers[0].url, scene.workers[1].url, scene.collector.url):
        for path in whole:
            await wait_until(partial(is_whole, path, url), expected=True, deadline_s=60)
