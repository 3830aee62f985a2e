"""Alerts to a webhook: each at least once, in order, and never in the way of others."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from prometheus_client import REGISTRY
from standardwebhooks.webhooks import Webhook as StandardWebhook
from standardwebhooks.webhooks import WebhookVerificationError

from agents.deliver_alerts import deliver
from app.alerting.delivered import AlertsDone
from app.alerting.deliveries import ATTEMPT_S, Deliveries
from app.alerting.webhook import LONGEST_PAUSE_S, Outcome, Webhook, delivery_id, pause_s, signature
from app.names import Names
from app.settings import Settings
from app.stores.outages import Outage, away
from app.transport import leaving
from tests.support.delivering import answering, delivering, raise_alerts
from tests.support.kafka_client import KafkaClient
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

DAY_MS = 86_400_000
ALERT = b'{"rule":"r","key":"k"}'


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Yield a receiver that answers."""
    async with answering() as made:
        yield made


def counted(outcome: str) -> float:
    name = "event_counter_webhook_alerts_total"
    return REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0.0


async def committed(kafka: KafkaClient, names: Names) -> int:
    return sum((await kafka.committed(names.webhook_group, names.alerts)).values())


async def test_what_fails_comes_again_with_its_id_before_what_follows(
    settings: Settings, topics: Names, kafka: KafkaClient, receiver: Receiver
) -> None:
    receiver.statuses = [500, 429, 408, 302]
    before = counted("delivered"), counted("refused")
    await raise_alerts(kafka, topics, "a", "b", "c")
    async with delivering(settings, receiver):
        await wait_until(lambda: receiver.keys, ["a", "a", "a", "a", "b", "c"], deadline_s=30)
        await wait_until(lambda: committed(kafka, topics), 3)
    assert receiver.ids == [delivery_id(key.encode()) for key in receiver.keys]
    for headers, body in receiver.calls:
        timestamp = headers["X-Event-Counter-Timestamp"]
        assert abs(int(timestamp) - time.time()) < 60
        assert headers["X-Event-Counter-Signature"] == signature("k", timestamp, body)
        assert headers["Content-Type"] == "application/json"
    # a redirect is not followed, and would be the same again
    assert (counted("delivered"), counted("refused")) == (before[0] + 2, before[1] + 1)


async def test_a_refused_or_old_alert_does_not_hold_up_the_next(
    settings: Settings, topics: Names, kafka: KafkaClient, receiver: Receiver
) -> None:
    before = counted("given_up"), counted("refused")
    await raise_alerts(kafka, topics, "last year", age_ms=DAY_MS + 60_000)
    await raise_alerts(kafka, topics, "yesterday", age_ms=DAY_MS - 60_000)
    await raise_alerts(kafka, topics, "now")
    receiver.statuses = [404]
    async with delivering(settings, receiver):
        await wait_until(lambda: receiver.keys, ["yesterday", "now"])
        await wait_until(lambda: committed(kafka, topics), 3)
    assert (counted("given_up"), counted("refused")) == (before[0] + 1, before[1] + 1)


async def test_what_is_no_alert_goes_to_nobody(
    settings: Settings, topics: Names, kafka: KafkaClient, receiver: Receiver
) -> None:
    strange = [None, b"", b"\xff", b"[]", b"{}", b"7", b'{"rule":1,"key":"a"}', bytes(900_000)]
    await raise_alerts(kafka, topics, "a")
    for value in strange:
        await kafka.send_as_it_is(topics.alerts, 0, (None, value), [])
    await raise_alerts(kafka, topics, "b")
    async with delivering(settings, receiver):
        await wait_until(lambda: receiver.keys, ["a", "b"])
        await wait_until(lambda: committed(kafka, topics), len(strange) + 2)


class SlowMember(ConsumerRebalanceListener):
    """Keeps the others of its group waiting once it is to give away what it has."""

    def __init__(self) -> None:
        self.assigned, self.asked, self.gives = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def on_partitions_revoked(self, revoked: object) -> None:
        if revoked:
            self.asked.set()
            await self.gives.wait()

    async def on_partitions_assigned(self, _: object) -> None:
        self.assigned.set()


async def test_it_ends_while_a_member_keeps_the_group_waiting(
    settings: Settings,
    topics: Names,
    kafka: KafkaClient,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaving, "LEAVE_S", 0.1)
    slow, webhook = SlowMember(), Webhook(receiver.url, "k")
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.address, group_id=topics.webhook_group, heartbeat_interval_ms=200
    ) as other:
        other.subscribe([topics.alerts], listener=slow)
        try:
            await slow.assigned.wait()
            app = SimpleNamespace(should_stop=False)
            task = asyncio.create_task(deliver(app, webhook, settings))
            await slow.asked.wait()
            task.cancel()  # as Faust does
            done, _ = await asyncio.wait([task], timeout=5)
            assert done, "aiokafka waits for 10 s"
        finally:
            slow.gives.set()
            await webhook.close()


async def test_the_next_worker_goes_on_where_one_stopped(
    settings: Settings, topics: Names, kafka: KafkaClient, receiver: Receiver
) -> None:
    await raise_alerts(kafka, topics, "a", "b")
    async with delivering(settings, receiver):
        await wait_until(lambda: committed(kafka, topics), 2)
        await receiver.close()
        await raise_alerts(kafka, topics, "c")
    await receiver.open()
    async with delivering(settings, receiver):
        await wait_until(lambda: receiver.keys, ["a", "b", "c"])


async def test_one_partition_that_fails_holds_up_no_other(
    settings: Settings, topics: Names, kafka: KafkaClient, receiver: Receiver
) -> None:
    receiver.statuses, receiver.retry_after = [503], "600"
    async with delivering(settings, receiver):
        await raise_alerts(kafka, topics, "waits")
        await wait_until(lambda: receiver.keys, ["waits"])
        await raise_alerts(kafka, topics, "also waits")
        await raise_alerts(kafka, topics, "a", "b", partition=1)
        await wait_until(lambda: receiver.keys, ["waits", "a", "b"])


async def test_workers_share_the_partitions(
    settings: Settings, topics: Names, kafka: KafkaClient, receiver: Receiver
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(delivering(settings, receiver))
            for partition in range(4):
                await raise_alerts(kafka, topics, f"{partition}", partition=partition)
        await wait_until(lambda: committed(kafka, topics), 8, deadline_s=30)
    assert set(receiver.keys) == {"0", "1", "2", "3"}


@pytest.mark.parametrize(
    ("failures", "asked_s", "least", "most"),
    [
        (1, 0, 0.5, 1),
        (2, 0, 1, 2),
        (5, 0, 8, 16),
        (1000, 0, LONGEST_PAUSE_S / 2, LONGEST_PAUSE_S),
        (1, 30, 30, 30),
        (1, 1e9, 3600, 3600),
    ],
)
def test_pauses_grow_to_a_limit_and_differ(
    failures: int, asked_s: float, least: float, most: float
) -> None:
    dice: Callable[[Any], Callable[[], float]] = lambda value: lambda: value  # noqa: E731
    assert pause_s(failures, asked_s, dice(0.0)) == most
    assert pause_s(failures, asked_s, dice(1.0)) == least


async def test_a_library_of_standard_webhooks_verifies_a_call(receiver: Receiver) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    for given, known in ((secret, secret), ("k", b"k")):
        webhook = Webhook(receiver.url, given)
        assert (await webhook.call(b"place", b'{"key":"/a"}')).taken
        await webhook.close()
        headers, body = receiver.calls[-1]
        assert StandardWebhook(known).verify(body, dict(headers)) == {"key": "/a"}
        with pytest.raises(WebhookVerificationError):
            StandardWebhook(known).verify(body + b" ", dict(headers))


def test_a_signature_is_the_documented_one() -> None:
    # printf '1710504000.{"rule":"r"}' | openssl dgst -sha256 -hmac k
    assert (
        signature("k", "1710504000", b'{"rule":"r"}')
        == "sha256=5cdad0e05afe6529bd753b5c0705598dcc98fa0abd3426e040c9156994390cc3"
    )


async def test_a_worker_that_has_lost_its_partitions_tells_of_no_outage() -> None:
    webhook, part = Webhook("http://127.0.0.1:1", ""), TopicPartition("alerts", 0)
    consumer: Any = SimpleNamespace(pause=lambda _: None, seek=lambda *_: None)

    async def read_on(parts: Any) -> dict[TopicPartition, AlertsDone]:
        return dict.fromkeys(parts, AlertsDone(0, 0))

    def deliveries() -> Deliveries:
        return Deliveries(consumer, webhook, read_on)

    first = deliveries()
    first.on_partitions_assigned([part])
    await first.settle()
    record = SimpleNamespace(key=b"k", value=ALERT, offset=0, timestamp=time.time() * 1000)
    first.add({part: [record]})
    await first.attempt()
    second = deliveries()  # as after an error of Kafka's
    del first
    gc.collect()
    await second.settle()
    assert "webhook" in away, "its partitions may come back"
    second.on_partitions_revoked([])
    second.on_partitions_assigned([])
    await second.settle()
    assert "webhook" not in away
    await webhook.close()


async def test_a_slow_receiver_does_not_keep_the_consumer_from_being_polled() -> None:
    """One that is not polled for 300 s leaves its group, and half of what it sent comes again."""
    now, sent = [0.0], list[bytes]()

    async def call(key: bytes, _: bytes) -> Outcome:
        now[0] += 0.2
        sent.append(key)
        return Outcome()

    async def commit(_: object) -> None:
        pass

    async def nothing(_: object) -> dict[TopicPartition, AlertsDone]:
        return {}

    part = TopicPartition("alerts", 0)
    consumer: Any = SimpleNamespace(
        pause=lambda _: None, resume=lambda _: None, assignment=lambda: {part}, commit=commit
    )
    webhook: Any = SimpleNamespace(call=call, outage=Outage("webhook"))
    deliveries = Deliveries(consumer, webhook, nothing, lambda: now[0])
    keys, raised = [b"%d" % n for n in range(3000)], time.time() * 1000
    records = [
        SimpleNamespace(key=key, value=ALERT, offset=n, timestamp=raised)
        for n, key in enumerate(keys)
    ]
    deliveries.add({part: records})
    polls = 0
    while deliveries.next_due_s() == 0:
        began = now[0]
        await deliveries.attempt()
        assert now[0] - began < ATTEMPT_S + 0.5
        polls += 1
    assert sent == keys, "each once, in order"
    assert polls > 100
