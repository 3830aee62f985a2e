"""Segment's packages for Python and Node, unmodified, through a network that loses an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.names import Names
from tests.clients.others import run_node, run_python, stored, stored_once
from tests.conftest import MakeSettings
from tests.support.cutting_proxy import CuttingProxy
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.web.conftest import Serve

PYTHON = """
import sys, datetime
from segment.analytics.client import Client
host, gzip = sys.argv[1], sys.argv[2] == "gzip"
errors = []
client = Client("the-key", host=host, gzip=gzip, on_error=lambda exc, batch: errors.append(exc))
client.track("u1", "Signed Up", {"plan": "pro"}, context={"ip": "1.2.3.4", "userAgent": "Mine/1"})
client.page("u1", "Docs", "Home", {"url": "https://shop.example/", "referrer": "https://a.example/"})
client.screen("u1", None, "Cart")
client.identify("u1", {"email": "a@b.example"})
client.group("u1", "g1", {"size": 3})
client.alias("old", "u1")
client.track(None, "Anonymous", anonymous_id="anon",
             timestamp=datetime.datetime(2024, 3, 15, 14, 30, tzinfo=datetime.timezone.utc))
client.flush()
client.shutdown()
assert not errors, errors
"""
NODE = """
import { Analytics } from '@segment/analytics-node'
const client = new Analytics({ writeKey: 'the-key', host: process.argv[1], path: process.argv[2] })
const errors = []
client.on('error', error => errors.push(error))
const userId = 'u1'
client.track({ userId, event: 'Signed Up', properties: { plan: 'pro' },
               context: { ip: '1.2.3.4', userAgent: 'Mine/1' } })
client.page({ userId, category: 'Docs', name: 'Home',
              properties: { url: 'https://shop.example/', referrer: 'https://a.example/' } })
client.screen({ userId, name: 'Cart' })
client.identify({ userId, traits: { email: 'a@b.example' } })
client.group({ userId, groupId: 'g1', traits: { size: 3 } })
client.alias({ userId, previousId: 'old' })
client.track({ anonymousId: 'anon', event: 'Anonymous', timestamp: new Date('2024-03-15T14:30Z') })
await client.closeAndFlush()
if (errors.length) { console.log(errors); process.exit(1) }
"""
EXPECTED: dict[str, dict[str, Any]] = {
    "Signed Up": {
        "user_id": "u1",
        "ip": "1.2.3.4",
        "user_agent": "Mine/1",
        "properties": {"plan": "pro"},
    },
    "page_view": {
        "user_id": "u1",
        "url": "https://shop.example/",
        "referrer": "https://a.example/",
        "category": "Docs",
    },
    "identify": {"user_id": "u1", "properties": {"email": "a@b.example"}},
    "group": {"user_id": "u1", "properties": {"size": 3, "groupId": "g1"}},
    "alias": {"user_id": "u1", "properties": {"previousId": "old"}},
    "Anonymous": {"user_id": "anon", "timestamp": "2024-03-15T14:30:00Z"},
}


def check(events: list[dict[str, Any]]) -> None:
    types = ["Anonymous", "Signed Up", "alias", "group", "identify", "page_view", "page_view"]
    assert [event["type"] for event in events] == types
    home, cart = sorted(events[-2:], key=lambda event: event["url"], reverse=True)
    assert (cart["url"], cart["user_id"]) == ("Cart", "u1")
    for event in [*events[:-2], home]:
        expected = EXPECTED[event["type"]]
        assert {name: event.get(name) for name in expected} == expected


@pytest.mark.parametrize("coding", ["plain", "gzip"])
@pytest.mark.parametrize("version", ["2.3.4", "2.4.0"])
async def test_segment_for_python(
    http: Http, kafka: KafkaClient, topics: Names, version: str, coding: str
) -> None:
    async with CuttingProxy(http.url) as proxy:
        proxy.lose_answer_to = b"POST /v1/batch"
        await run_python(version, PYTHON, proxy.url, coding)
    events, again = await stored_once(kafka, topics)
    check(events)
    assert again, "no answer was lost"


async def test_segment_for_node(http: Http, kafka: KafkaClient, topics: Names) -> None:
    async with CuttingProxy(http.url) as proxy:
        proxy.lose_answer_to = b"POST /v1/batch"
        await run_node(NODE, proxy.url, "/v1/batch")
    events, again = await stored_once(kafka, topics)
    check(events)
    assert again, "no answer was lost"


@pytest.mark.parametrize("client", ["2.3.4", "2.4.0", "node"])
async def test_one_bad_event_loses_no_other(
    http: Http, kafka: KafkaClient, topics: Names, client: str
) -> None:
    bad = "x" * 40_000
    if client == "node":
        await run_node(NODE.replace("'old'", "process.argv[3]"), http.url, "/v1/batch", bad)
    else:
        # Their own limit of 32 KB refuses what ours would.
        script = PYTHON.replace('"Signed Up"', '"\\0"')
        await run_python(client, script, http.url, "plain")
    found = [event["type"] for event in await stored(kafka, topics)]
    missing = "alias" if client == "node" else "Signed Up"
    assert len(found) == 6
    assert missing not in found


@pytest.mark.parametrize("client", ["2.3.4", "2.4.0", "node"])
@pytest.mark.parametrize("known", [True, False])
async def test_a_write_key_lets_in_and_names_the_app(
    serve_ready: Serve, make_settings: MakeSettings, kafka: KafkaClient, client: str, *, known: bool
) -> None:
    key = "the-key" if known else "another"
    settings = await make_settings(write_keys=f"{key}=shop,more=other")
    http = await serve_ready(settings)
    run = run_node(NODE, http.url, "/v1/batch") if client == "node" else None
    run = run or run_python(client, PYTHON, http.url, "plain")
    if known:
        await run
    else:
        with pytest.raises(AssertionError, match=r"401|unknown_write_key|status"):
            await run
    values = await kafka.values(Names(settings.namespace).events)
    assert {json.loads(value)["app_name"] for value in values} == ({"shop"} if known else set())
