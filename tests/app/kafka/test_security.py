"""The ways into a Kafka that lets not everybody in, and what is said to who stays outside."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.errors import CounterError, KafkaAccessError, SettingsError
from app.kafka.clients import KafkaClients
from app.kafka.session import KafkaSession, RecordBatch
from app.kafka.topics import ensure_topics
from app.monitor.figures import lag
from app.names import Names
from app.settings import Settings, variable
from app.stack.ports import free_port
from app.stack.prepare import prepare_topics
from tests.support.kafka_client import KafkaClient
from tests.support.secured import (
    ALL,
    ALLOW,
    DENY,
    GROUP,
    GUEST,
    GUEST_PASSWORD,
    PASSWORD,
    PREFIXED,
    TOPIC,
    USER,
    WRITE,
    Authority,
    SecuredKafka,
    grant,
)
from tests.support.waiting import wait_until

LITERAL = 3
SECRETS = (PASSWORD, GUEST_PASSWORD, "another-secret")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signed all certificates."""
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[SecuredKafka]:
    """Yield the Kafka."""
    kafka = SecuredKafka(tmp_path_factory.mktemp("secured"), authority)
    asyncio.run(kafka.broker.start())
    yield kafka
    asyncio.run(kafka.broker.stop())


@pytest.fixture(autouse=True)
def no_secret_is_told(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Look through all that was logged; below INFO aiokafka shows the bytes of requests."""
    caplog.set_level(logging.INFO)
    yield
    assert [secret for secret in SECRETS if secret in caplog.text] == []


def from_env(**given: object) -> Settings:
    """Return settings as a process reads them."""
    return Settings.from_env({variable(name): str(value) for name, value in given.items()})


def by_password(secured: SecuredKafka, authority: Authority, **changes: object) -> Settings:
    """Return settings that sign in with SCRAM."""
    given = {
        "kafka": secured.sasl,
        "kafka_security": "SASL_SSL",
        "kafka_user": USER,
        "kafka_password": PASSWORD,
        "kafka_ca": str(authority.ca),
        "events_partitions": 1,
    }
    return Settings.from_env(
        {f"EVENT_COUNTER_{k.upper()}": str(v) for k, v in (given | changes).items()}
    )


def by_certificate(secured: SecuredKafka, authority: Authority, **changes: object) -> Settings:
    """Return settings that show a certificate."""
    given: dict[str, object] = {
        "kafka": secured.mutual,
        "kafka_security": "SSL",
        "kafka_user": "",
        "kafka_password": "",
        "kafka_cert": str(authority.client),
    }
    return by_password(secured, authority, **(given | changes))


@pytest.mark.parametrize("way", [by_password, by_certificate])
async def test_every_client_comes_in(secured: SecuredKafka, authority: Authority, way: Any) -> None:
    settings = way(secured, authority, namespace=f"{way.__name__}.")
    names, clients = Names(settings.namespace), KafkaClients.of(settings)
    assert names.events in await prepare_topics(settings)
    session = await KafkaSession.open(clients, names.events, 5)
    batch = RecordBatch(0)
    batch.append((b"", b"{}", int(time.time() * 1000)))
    await session.send([batch])
    await session.close()
    async with clients.producer() as producer:
        await producer.send_and_wait(names.events, b"{}")
    assert (await lag(clients, settings.namespace))[names.store_group] == {f"{names.events}-0": 2}
    async with KafkaClient(secured.plain) as kafka:
        assert await kafka.values(names.events) == [b"{}"] * 2


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "password": (
        by_password,
        {"kafka_password": "another-secret"},
        "refuses the user counter: check EVENT_COUNTER_KAFKA_USER and EVENT_COUNTER_KAFKA_PASSWORD",
    ),
    "user": (by_password, {"kafka_user": "nobody"}, "refuses the user nobody: check EVENT_COUNTER"),
    "mechanism": (
        by_password,
        {"kafka_sasl": "PLAIN"},
        "does not take PLAIN: set EVENT_COUNTER",
    ),
    "authority": (by_password, {"kafka_ca": ""}, "shows a certificate that is not trusted ("),
    "no certificate": (by_certificate, {"kafka_cert": ""}, "wants a certificate that it trusts"),
}


def peers() -> list[Any]:
    """Return the address of the other side of each connection of this process."""
    found = []
    for descriptor in Path("/dev/fd").iterdir():
        with suppress(OSError):  # no socket, or not connected
            connection = socket.socket(fileno=int(descriptor.name))
            try:
                found.append(connection.getpeername())
            finally:
                connection.detach()
    return found


@pytest.mark.parametrize("case", REFUSED)
async def test_who_is_refused_is_told_what_to_set(
    secured: SecuredKafka, authority: Authority, case: str
) -> None:
    way, changes, said = REFUSED[case]
    settings = way(secured, authority, **changes)
    with pytest.raises(KafkaAccessError) as caught:
        await prepare_topics(settings)
    port = int(settings.kafka.rpartition(":")[2])
    assert [peer for peer in peers() if peer[1:2] == (port,)] == []
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(secret in str(caught.value.as_dict()) for secret in SECRETS)


async def test_a_listener_of_another_protocol_is_named(
    secured: SecuredKafka, authority: Authority
) -> None:
    for settings in (
        by_password(secured, authority, kafka=secured.plain),
        Settings(kafka=secured.sasl),
        by_password(secured, authority, kafka=f"localhost:{free_port()}"),
    ):
        with pytest.raises(CounterError, match=r"EVENT_COUNTER_KAFKA"):
            await prepare_topics(settings)


async def test_a_right_that_is_missing_is_named_before_anything_begins(
    secured: SecuredKafka, authority: Authority
) -> None:
    full = by_password(secured, authority, namespace="rights.")
    await ensure_topics(full)
    guest = {"kafka_user": GUEST, "kafka_password": GUEST_PASSWORD, "namespace": "rights."}
    collect = by_password(secured, authority, role="collect", **guest)
    with pytest.raises(KafkaAccessError, match=r"Describe on topic rights.tables-version"):
        await prepare_topics(collect)
    admin = KafkaClients(secured.plain).admin()
    await admin.start()
    await grant(
        admin,
        (TOPIC, "rights.", PREFIXED, ALL, ALLOW),
        (TOPIC, "rights.events", LITERAL, WRITE, DENY),
    )
    try:
        others = [f"Describe on group rights.event-counter-{role}" for role in ("archive", "count")]
        stored = "group rights.event-counter-store"
        lacking = ", ".join(["Write on topic rights.events", *others, f"Describe on {stored}"])
        said = f"Kafka does not let guest do this: {lacking}. Grant it"
        await wait_until(partial(refusal, collect), said)  # rules spread in their own time
        store = by_password(secured, authority, role="store", **guest)
        lacking = ", ".join([f"Read on {stored}", *others])
        assert await refusal(store) == f"Kafka does not let guest do this: {lacking}. Grant it"
        await grant(admin, (GROUP, "rights.", PREFIXED, ALL, ALLOW))
        await wait_until(partial(refusal, store), "")
    finally:
        await admin.close()


async def refusal(settings: Settings) -> str:
    """Return what the start of a worker says; empty where nothing is in its way."""
    try:
        await prepare_topics(settings)
    except KafkaAccessError as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"kafka": "SASL_SSL://u:another-secret@h:9093"},
            "not shown) cannot be used: give host",
        ),
        ({"kafka": "u:another-secret@h:9093"}, "EVENT_COUNTER_KAFKA_SECURITY, _USER and _PASSWORD"),
        ({"kafka": "SASL_SSL://h:9093"}, "'SASL_SSL://h:9093' cannot be used: give host:port"),
        ({"kafka_security": "TLS"}, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ({"kafka_password": "another-secret"}, "_KAFKA_SECURITY is PLAINTEXT: set SASL_SSL"),
        ({"kafka_ca": "/ca.pem"}, "KAFKA_SECURITY is PLAINTEXT: set SSL or SASL_SSL"),
        ({"kafka_security": "SASL_SSL"}, "KAFKA_USER is empty, and SASL_SSL needs it"),
        (
            {"kafka_security": "SSL", "kafka_ca": "/no/ca.pem"},
            "KAFKA_CA: /no/ca.pem cannot be",
        ),
        ({"kafka_security": "SSL", "kafka_cert": "/no/c.pem"}, "KAFKA_CERT: /no/c.pem cannot be"),
        (
            {"kafka_security": "SSL", "kafka_key": "/no/c.pem"},
            "without EVENT_COUNTER_KAFKA_CERT",
        ),
    ],
)
def test_settings_that_make_no_sense_are_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        KafkaClients.of(from_env(**given))
    assert said in str(caught.value)
    assert "another-secret" not in str(caught.value)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(SettingsError, match=r"EVENT_COUNTER_KAFKA_CA: .*Give a PEM file"):
        KafkaClients.of(Settings(kafka="h:1", kafka_security="SSL", kafka_ca=str(file)))
