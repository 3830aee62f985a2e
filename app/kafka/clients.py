"""Every client of Kafka is made here, so what it takes to reach the servers is said once."""

from __future__ import annotations

from typing import Any, Self

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from app.kafka.unreadable import pass_unreadable
from app.settings import Settings


class KafkaClients:
    """Makes the clients of one Kafka, not started; str() gives its addresses, for messages."""

    def __init__(self, servers: str) -> None:
        """servers: host:port[,host:port]."""
        self.servers = servers
        self._common: dict[str, Any] = {"bootstrap_servers": servers}

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the clients of the Kafka that the settings name."""
        return cls(settings.kafka)

    def __str__(self) -> str:
        return self.servers

    def consumer(self, **options: Any) -> AIOKafkaConsumer:
        """Return a consumer that commits nothing by itself, and passes what cannot be read."""
        pass_unreadable()
        return AIOKafkaConsumer(**self._common, enable_auto_commit=False, **options)

    def producer(self, **options: Any) -> AIOKafkaProducer:
        """Return a producer."""
        return AIOKafkaProducer(**self._common, **options)

    def admin(self, **options: Any) -> AIOKafkaAdminClient:
        """Return an admin client."""
        return AIOKafkaAdminClient(**self._common, **options)

    def client(self, **options: Any) -> AIOKafkaClient:
        """Return a bare client, for requests of our own."""
        return AIOKafkaClient(**self._common, **options)

    def for_faust(self) -> dict[str, Any]:
        """Return the settings of a Faust app that make its clients reach the same servers."""
        pass_unreadable()
        return {"broker": [f"kafka://{address}" for address in self.servers.split(",")]}
