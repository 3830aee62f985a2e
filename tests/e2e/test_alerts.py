"""Alerts of two count workers: in the topic, over HTTP, in the log, and at a webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from tests.conftest import MakeSettings, StartWorker
from tests.support.caught_up import caught_up
from tests.support.kafka_client import KafkaClient
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

SECRET = "s3cret"
RULES = """
[[rule]]
name = "page_views"
counter = "page_views_by_page_hourly"
threshold = 15

[[rule]]
name = "clicks"
counter = "events_by_url_hourly"
label = "CLICK"
threshold = 3

[[rule]]
name = "only_c"
counter = "page_views_by_page_hourly"
threshold = 1
key = "/c"
"""


class Site:
    """Sends events of this hour's beginning to all partitions."""

    def __init__(self, kafka: KafkaClient, settings: Settings) -> None:
        self._kafka, self._settings = kafka, settings
        self.names = Names(settings.namespace)
        self.hour = f"{datetime.now(UTC):%Y-%m-%dT%H:00:00Z}"

    async def send(self, label: str, url: str, count: int, time: str = "") -> None:
        """Send events of one type and url, spread over the partitions."""
        for number in range(count):
            event = {"type": label, "url": url, "timestamp": time or self.hour}
            await self._kafka.send(self.names.events, [json.dumps(event).encode()], number % 4)

    async def begin(self) -> None:
        """Send what makes two alerts and nearly two more, and wait until it is counted."""
        await self.send("VIEW", "/a", 14)
        await self.send("CLICK", "/a", 2)
        await self.send("PageView", "/b", 20)
        await self.send("VIEW", "/c", 1)
        await self.send("VIEW", "/d", 1)
        await self.send("VIEW", "/old", 40, "2015-05-17T10:05:03Z")
        await self.caught_up()

    async def caught_up(self) -> None:
        """Wait until everything is counted and committed; alerts come before that."""
        await caught_up(self._settings, self._kafka)

    async def alerts(self) -> Counter[tuple[str, str]]:
        """Return (rule, key) of all alerts in the topic, which are of this hour."""
        values = map(json.loads, await self._kafka.values(self.names.alerts))
        return Counter((v["rule"], v["key"]) for v in values if v["window_start"] == self.hour)


def signed_as_documented(headers: Any, body: bytes) -> bool:
    """Check a signature as docs/operating/alerts.md tells a receiver to."""
    timestamp = headers["X-Event-Counter-Timestamp"]
    mac = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return hmac.compare_digest(headers["X-Event-Counter-Signature"], "sha256=" + mac.hexdigest())


async def test_one_alert_per_rule_key_and_window_wherever_it_goes(
    make_settings: MakeSettings, start_worker: StartWorker, kafka: KafkaClient, tmp_path: Any
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES, "utf-8")
    async with Receiver() as receiver:
        settings = await make_settings(
            alert_rules=str(rules), webhook_url=receiver.url, webhook_secret=SECRET
        )
        await ensure_topics(settings)
        site = Site(kafka, settings)
        workers = [await start_worker(settings, "count", f"count-{n}") for n in (1, 2)]
        await start_worker(settings, "collect")
        await site.begin()
        first = Counter({("page_views", "/b"): 1, ("only_c", "/c"): 1})
        assert await site.alerts() == first
        await site.send("VIEW", "/a", 1)
        await site.send("CLICK", "/a", 1)
        both = first + Counter({("page_views", "/a"): 1, ("clicks", "/a"): 1})
        await wait_until(site.alerts, both)
        await wait_until(lambda: all(told(tmp_path, *alert) for alert in both), expected=True)
        for worker in workers:
            worker.child.kill()
            shutil.rmtree(worker.settings.data_dir)
        await receiver.open()  # it was away until now
        for worker in workers:
            worker.start()
        for url, count in (("/a", 20), ("/b", 20), ("/c", 10)):
            await site.send("VIEW", url, count)
        await site.caught_up()
        assert await site.alerts() == both
        assert len(await kafka.values(site.names.alerts)) == 4, "no alert of 2015"
        await wait_until(lambda: len(set(receiver.ids)), 4, deadline_s=30)
        assert all(signed_as_documented(*call) for call in receiver.calls)
        assert Counter(receiver.keys).keys() == {"/a", "/b", "/c"}
        stable = "Stable", len(workers)  # Kafka notices after a while who was killed
        await wait_until(lambda: kafka.group(site.names.webhook_group), stable, deadline_s=30)
        await repeated_alerts_are_told_once(kafka, site, receiver)
        await told_everywhere(settings, tmp_path)


async def repeated_alerts_are_told_once(kafka: KafkaClient, site: Site, receiver: Receiver) -> None:
    """Write each alert again, as a worker may that was frozen before it sent."""
    names = site.names
    ends = {p: end for p, end in (await kafka.ends(names.alerts)).items() if end}
    committed = partial(kafka.committed, names.webhook_group, names.alerts)
    await wait_until(committed, ends)  # what is not may come again by itself
    calls = len(receiver.calls)
    for record in await kafka.read(names.alerts):
        later = record.timestamp + 1
        value, place = [record.value], record.partition
        await kafka.send(names.alerts, value, place, key=record.key, timestamp_ms=later)
    await site.send("CLICK", "/b", 3)
    await wait_until(lambda: len(set(receiver.ids)), 5, deadline_s=30)
    ends = {p: end for p, end in (await kafka.ends(names.alerts)).items() if end}
    await wait_until(committed, ends)
    assert set(receiver.ids[calls:]).isdisjoint(receiver.ids[:calls])


def told(folder: Path, rule: str, key: str) -> int:
    """Return how often the logs of the workers name an alert; after it is in the topic."""
    logs = "".join(log.read_text("utf-8") for log in (folder / "logs").glob("count-*.log"))
    return logs.count(f"alert {rule}: '{key}' has ")


async def told_everywhere(settings: Settings, folder: Path) -> None:
    """Check HTTP and the log of the workers."""
    url = f"http://{settings.http_host}:{settings.http_port}/alerts"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        found = (await answer.json())["alerts"]
    assert len(found) == 5
    assert [alert["raised_at"] for alert in found] == sorted(
        (alert["raised_at"] for alert in found), reverse=True
    )
    assert [told(folder, alert["rule"], alert["key"]) for alert in found] == [1] * len(found)
