"""Every client of Kafka is made here, so what it takes to reach the servers is said once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gaierror
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError

from app.errors import KafkaAccessError, KafkaUnavailableError, reason
from app.kafka.cancelled import KafkaConsumer, KafkaProducer, close_cancelled
from app.kafka.refusals import refusal
from app.kafka.security import PLAINTEXT, security_of
from app.kafka.unreadable import pass_unreadable
from app.settings import Settings

KNOCK_S = 10.0  # for one server

close_cancelled()

Connecting = TypeVar("Connecting", AIOKafkaConsumer, AIOKafkaProducer)


@contextmanager
def kafka_away(what: str = "Kafka is away") -> Iterator[None]:
    """Turn what the clients raise within, TimeoutError too, into KafkaUnavailableError.

    what: did not work, begins its message.
    """
    try:
        yield
    except (KafkaError, OSError) as exc:  # TimeoutError is an OSError
        raise KafkaUnavailableError(f"{what}: {reason(exc)}") from exc


async def ask(admin: AIOKafkaAdminClient, request: Any, node: int | None = None) -> Any:
    """Return the answer to a request that aiokafka's client has no call for.

    node: the broker to ask; None: any. Raises KafkaError.
    """
    return await admin._send_request(request, node)  # noqa: SLF001 - it has no public one


async def started(client: Connecting) -> Connecting:
    """Return a consumer or producer, connected; where that fails, nothing of it stays open."""
    try:
        await client.start()
    except BaseException:
        await client.stop()
        raise
    return client


class KafkaClients:
    """Makes the clients of one Kafka, not started; str() gives its addresses, for messages."""

    def __init__(self, servers: str, security: dict[str, Any] | None = None) -> None:
        """servers: host:port[,host:port]. security: see security_of(); None: none."""
        self.servers = servers
        self._security = security or {"security_protocol": PLAINTEXT}
        self._common = {"bootstrap_servers": servers, **self._security}

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the clients of the Kafka that the settings name; raise SettingsError."""
        return cls(settings.kafka, security_of(settings))

    def __str__(self) -> str:
        return self.servers

    def consumer(self, **options: Any) -> AIOKafkaConsumer:
        """Return a consumer that commits nothing by itself, and passes what cannot be read."""
        pass_unreadable()
        return KafkaConsumer(**self._common, enable_auto_commit=False, **options)

    def producer(self, **options: Any) -> AIOKafkaProducer:
        """Return a producer."""
        return KafkaProducer(**self._common, **options)

    def admin(self, **options: Any) -> AIOKafkaAdminClient:
        """Return an admin client."""
        return AIOKafkaAdminClient(**self._common, **options)

    def client(self, **options: Any) -> AIOKafkaClient:
        """Return a bare client, for requests of our own."""
        return AIOKafkaClient(**self._common, **options)

    def for_faust(self) -> dict[str, Any]:
        """Return the settings of a Faust app that make its clients reach the same servers."""
        import faust  # noqa: PLC0415 - takes a second, and the event loop must be chosen before

        pass_unreadable()
        given: dict[str, Any] = {
            "broker": [f"kafka://{address}" for address in self.servers.split(",")]
        }
        context = self._security.get("ssl_context")
        if mechanism := self._security.get("sasl_mechanism"):
            given["broker_credentials"] = faust.SASLCredentials(
                username=self._security["sasl_plain_username"],
                password=self._security["sasl_plain_password"],
                ssl_context=context,
                mechanism=mechanism,
            )
        elif context:
            given["broker_credentials"] = faust.SSLCredentials(context)
        return given

    async def knock(self) -> None:
        """Return when a server lets us in, and says so; the clients only log why it does not.

        Raises KafkaAccessError where a server refuses, else the OSError or KafkaError of the last.
        """
        error: Exception = OSError("no server is named")
        for host, port, _ in collect_hosts(self.servers):
            try:
                async with asyncio.timeout(KNOCK_S):
                    connection = await create_conn(host, port, **self._security)
                    await connection.close()
            except (KafkaError, OSError, ValueError) as exc:  # ValueError: of SCRAM
                if words := refusal(exc, self._security):
                    raise KafkaAccessError(f"Kafka at {host}:{port} {words}") from exc
                # A gaierror does not say which name it is that nobody knows.
                is_told = isinstance(exc, (KafkaError, OSError)) and not isinstance(exc, gaierror)
                error = exc if is_told else OSError(f"{host}:{port}: {reason(exc)}")
            else:
                return
        try:
            raise error
        finally:
            del error  # its traceback has this frame: a cycle, with all who called
