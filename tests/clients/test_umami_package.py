"""@umami/node, unmodified."""

from __future__ import annotations

from app.names import Names
from tests.clients.others import run_node, stored
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient

SCRIPT = """
import { Umami } from '@umami/node'
const umami = new Umami({ hostUrl: process.argv[1], websiteId: 'a-site', userAgent: 'Mine/1' })
const answers = [
  await umami.track({ hostname: 'shop.example', url: '/cart?a=1', referrer: 'https://a.example/',
                      title: 'Cart', language: 'de', screen: '800x600' }),
  await umami.track('signed up', { plan: 'pro' }),
  await umami.identify({ email: 'a@b.example' }),
]
for (const answer of answers) {
  const said = await answer.json()
  if (answer.status !== 200 || !said.cache || !said.sessionId) throw new Error(said)
}
"""


async def test_umami_for_node(http: Http, kafka: KafkaClient, topics: Names) -> None:
    await run_node(SCRIPT, http.url)
    events = await stored(kafka, topics)
    identify, view, signed = sorted(events, key=lambda event: str(event["type"]))
    assert all((e["app_name"], e["user_agent"]) == ("a-site", "Mine/1") for e in events)
    assert (view["type"], view["url"]) == ("page_view", "shop.example/cart?a=1")
    assert view["referrer"] == "https://a.example/"
    assert view["properties"] == {"title": "Cart", "language": "de", "screen": "800x600"}
    assert (signed["type"], signed["properties"]) == ("signed up", {"plan": "pro"})
    assert (identify["type"], identify["properties"]) == ("identify", {"email": "a@b.example"})
