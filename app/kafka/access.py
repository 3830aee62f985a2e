"""What a role may do with topics and groups, asked before it begins: no right is missed later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from app.errors import KafkaAccessError
from app.kafka.clients import ask
from app.kafka.groups import coordinator
from app.names import Names
from app.settings import Settings

READ, WRITE, DESCRIBE = "Read", "Write", "Describe"
BITS = {READ: 3, WRITE: 4, DESCRIBE: 8}  # of Kafka's AclOperation
NO_GENERATION, NOBODY = -1, ""

Rights = Mapping[str, frozenset[str]]  # by name of a topic or group


def needs(settings: Settings, version: int) -> tuple[Rights, list[str]]:
    """Return what the role does with each topic, and the groups it joins; no role: all of it."""
    names, role = Names(settings.namespace, version), settings.role
    topics: defaultdict[str, set[str]] = defaultdict(set)
    groups = []
    topics[names.tables_version] |= {READ}
    if role in ("", "collect"):
        topics[names.events] |= {WRITE, READ}
        topics[names.rejected] |= {READ}
        topics[names.alerts] |= {READ}
    if role in ("", "store"):
        topics[names.events] |= {READ}
        groups.append(names.store_group)
    if role in ("", "archive"):
        topics[names.events] |= {READ}
        groups.append(names.archive_group)
    if settings.raw_retention_days and role in ("store", "archive"):
        topics[names.decisions] |= {READ}
    if role in ("", "count"):
        topics[names.events] |= {READ}
        topics[names.rejected] |= {READ, WRITE}
        groups.append(names.count_group)
        own = [
            names.decisions,
            names.counts,
            names.totals,
            names.partials_changelog,
            names.totals_changelog,
        ]
        if settings.statistics:
            own += [names.uniques, *sorted(names.statistics_changelogs)]
        for name in own:
            topics[name] |= {READ, WRITE}
        if settings.webhook_url:
            groups.append(names.webhook_group)
    return {name: frozenset(rights) for name, rights in topics.items()}, groups


async def check_access(
    admin: AIOKafkaAdminClient, settings: Settings, version: int, user: str
) -> None:
    """Raise KafkaAccessError that names every right which the role lacks; else KafkaError.

    Topics that do not exist yet are left out. version: of the tables. user: for the message.
    """
    wanted, groups = needs(settings, version)
    held = await _rights(admin, list(wanted))
    lacking = [
        f"{right} on topic {name}"
        for name, rights in wanted.items()
        if name in held
        for right in sorted(rights - held[name])
    ]
    lacking += [f"{READ} on group {group}" for group in groups if not await _joins(admin, group)]
    names = Names(settings.namespace, version)  # whoever reads `events` says how far it must reach
    others = {names.count_group, names.store_group, names.archive_group}.difference(groups)
    lacking += [
        f"{DESCRIBE} on group {group}"
        for group in sorted(others)
        if await _coordinator(admin, group) is None
    ]
    if lacking:
        raise KafkaAccessError(f"Kafka does not let {user} do this: {', '.join(lacking)}. Grant it")


async def _joins(admin: AIOKafkaAdminClient, group: str) -> bool:
    """Whether we may be a member; a heartbeat of nobody changes nothing."""
    node = await _coordinator(admin, group)
    if node is None:
        return False
    answer = await ask(admin, HeartbeatRequest(group, NO_GENERATION, NOBODY), node)
    code: int = answer.error_code
    return bool(code != GroupAuthorizationFailedError.errno)


async def _coordinator(admin: AIOKafkaAdminClient, group: str) -> int | None:
    """Return the node of a group; None where we may not know, which takes Describe on it."""
    try:
        return await coordinator(admin, group)
    except GroupAuthorizationFailedError:
        return None


async def _rights(admin: AIOKafkaAdminClient, topics: list[str]) -> Rights:
    """Return what we may do with each topic that is there."""
    answer = await ask(admin, _AskForRights(topics))
    found: dict[str, frozenset[str]] = {}
    for code, name, _, _, mask in answer.topics:
        if code == TopicAuthorizationFailedError.errno:
            found[name] = frozenset()
        elif not code:
            found[name] = frozenset(right for right, bit in BITS.items() if mask >> bit & 1)
    return found


class _TopicRights(Response):
    """Metadata, with what the asking one may do; aiokafka has no version of it that says so."""

    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(
                ("node_id", Int32),
                ("host", String("utf-8")),
                ("port", Int32),
                ("rack", String("utf-8")),
            ),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _TopicRightsQuestion(RequestStruct):
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _TopicRights
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _AskForRights(Request[_TopicRightsQuestion]):
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_TopicRightsQuestion]) -> _TopicRightsQuestion:
        return request_struct_class(self._topics, False, False, True)  # noqa: FBT003
