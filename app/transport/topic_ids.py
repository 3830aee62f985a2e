"""The id that Kafka gives a topic when it is made: one that is made anew has another (KIP-516)."""

from __future__ import annotations

from collections.abc import Collection
from io import BytesIO

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, NoBrokersAvailable
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

ID_BYTES = 16
NO_ID = bytes(ID_BYTES)  # of a topic from before Kafka 2.8
TEXT = CompactString("utf-8")
TAGS = ("tags", TaggedFields)


async def topic_ids(client: AIOKafkaClient, topics: Collection[str]) -> dict[str, bytes]:
    """Return the ids of those that are there; none of a Kafka that gives none. Raises KafkaError.

    topics: not empty.
    """
    if (node := client.get_random_node()) is None:
        raise NoBrokersAvailable
    try:
        answer = await client.send(node, _AskForIds(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):  # the latter: aiokafka's own
        return {}
    return {name: found for code, name, found, *_ in answer.topics if not code and found != NO_ID}


class _Id(AbstractType[bytes]):
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(ID_BYTES)


class _TopicIds(Response):
    """Metadata with topic ids; aiokafka has no version of it that says them."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("node_id", Int32), ("host", TEXT), ("port", Int32), ("rack", TEXT), TAGS),
        ),
        ("cluster_id", TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", TEXT),
                ("topic_id", _Id),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                TAGS,
            ),
        ),
        ("cluster_authorized_operations", Int32),
        TAGS,
    )


class _TopicIdsQuestion(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TopicIds
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Id), ("topic", TEXT), TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        TAGS,
    )


class _AskForIds(Request[_TopicIdsQuestion]):
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics: list[tuple[bytes, str, dict[int, bytes]]] = [(NO_ID, t, {}) for t in topics]

    def build(self, request_struct_class: type[_TopicIdsQuestion]) -> _TopicIdsQuestion:
        return request_struct_class(self._topics, False, False, False, {})  # noqa: FBT003
