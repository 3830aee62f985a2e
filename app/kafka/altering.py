"""Settings of topics changed one by one; aiokafka can only replace all of them."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

from app.errors import StartError
from app.kafka.clients import ask
from app.kafka.topic_faults import Change

SET = 0
TEXT = String("utf-8")


async def alter(admin: AIOKafkaAdminClient, changes: Sequence[Change]) -> None:
    """Change settings; raise StartError where Kafka does not take one, or KafkaError."""
    if not changes:
        return
    answer = await ask(admin, _Alter(changes))
    for code, words, _, name in answer.responses:
        if code:
            raise StartError(
                f"Kafka refused other settings for topic {name}: {for_code(code).__name__} "
                f"{words or ''}"
            )


class _Altered(Response):
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(("code", Int16), ("message", TEXT), ("type", Int8), ("name", TEXT)),
        ),
    )


class _AlterConfigs(RequestStruct):
    """IncrementalAlterConfigs."""

    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _Altered
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("type", Int8),
                ("name", TEXT),
                ("configs", Array(("name", TEXT), ("operation", Int8), ("value", TEXT))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _Alter(Request[_AlterConfigs]):
    API_KEY = 44

    def __init__(self, changes: Sequence[Change]) -> None:
        by_topic: dict[str, list[tuple[str, int, str]]] = {}
        for change in changes:
            by_topic.setdefault(change.topic.name, []).append((change.name, SET, change.right))
        self._resources = [
            (ConfigResourceType.TOPIC, name, configs) for name, configs in by_topic.items()
        ]

    def build(self, request_struct_class: type[_AlterConfigs]) -> _AlterConfigs:
        return request_struct_class(self._resources, False)  # noqa: FBT003
