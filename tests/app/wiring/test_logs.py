"""What a worker does about logs that are too short, where Kafka is away in that moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace

import pytest
from faust.types import TP

from app.kafka.tables_version import FIRST
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.transport.lengths import LogHooks
from app.wiring.logs import all_again, keep_offsets
from tests.support.cutting_proxy import CuttingProxy
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

NOWHERE = "kafka://127.0.0.1:1"


@pytest.fixture
async def proxy() -> AsyncIterator[CuttingProxy]:
    """A way to Kafka; what connects through it meets nobody for now."""
    async with CuttingProxy(NOWHERE) as proxy:
        yield proxy


@pytest.fixture
async def settings(settings: Settings, kafka: KafkaClient, proxy: CuttingProxy) -> Settings:
    """Settings of a worker that knows Kafka by the address of the proxy; its topics exist."""
    await ensure_topics(settings.model_copy(update={"kafka": kafka.address}))
    return settings.model_copy(update={"kafka": proxy.url.removeprefix("kafka://")})


async def until_kafka_is_back(
    work: Callable[[], Awaitable[None]],
    proxy: CuttingProxy,
    kafka: KafkaClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Begin some work while Kafka is away; it ends once Kafka is back, and not before."""
    doing = asyncio.ensure_future(work())
    await wait_until(lambda: "Kafka" in caplog.text or doing.done(), expected=True)
    assert not doing.done()
    proxy.lead_to(f"kafka://{kafka.address}")
    await asyncio.wait_for(doing, 60)


@pytest.mark.parametrize("topic", ["events", "counts"])
async def test_a_log_is_filled_up_once_kafka_is_back(
    topic: str,
    settings: Settings,
    proxy: CuttingProxy,
    kafka: KafkaClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names, hooks = Names(settings.namespace, FIRST), LogHooks()
    name = getattr(names, topic)
    app = SimpleNamespace(transport=SimpleNamespace(hooks=hooks))
    keep_offsets(app, settings, "count", FIRST)
    fill_up = hooks.fill_up
    assert fill_up is not None
    await until_kafka_is_back(lambda: fill_up(TP(name, 0), 7), proxy, kafka, caplog)
    assert (await kafka.ends(name))[0] >= 7


async def test_rows_are_asked_for_again_once_kafka_is_back(
    settings: Settings, proxy: CuttingProxy, kafka: KafkaClient, caplog: pytest.LogCaptureFixture
) -> None:
    names = Names(settings.namespace, FIRST)
    await until_kafka_is_back(all_again(settings, names), proxy, kafka, caplog)
    ends = await kafka.ends(names.events)
    assert ends == dict.fromkeys(range(settings.events_partitions), 1)
