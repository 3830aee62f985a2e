"""The topics of the versions of the tables, and the groups that read them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from typing import Any, Self

from aiokafka.errors import UnknownTopicOrPartitionError, for_code

from app.errors import KafkaUnavailableError
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.groups import committed, members_of
from app.kafka.tables_version import FIRST
from app.kafka.watermarks import Offsets
from app.names import Names

OLD = (
    r"(?:counts|uniques)(?:-v(?P<topic>\d+))?"
    r"|event-counter-count(?:-v(?P<group>\d+))?-(?:partials|totals|judged|sessions|uniques|messages)-changelog"
)


class TableTopics:
    """Asks Kafka. Use as an async context manager; raises KafkaUnavailableError."""

    def __init__(self, kafka: KafkaClients, namespace: str) -> None:
        self._namespace = namespace
        self._admin = kafka.admin()

    async def __aenter__(self) -> Self:
        try:
            with kafka_away():
                await self._admin.start()
        except BaseException:
            await self._admin.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def by_version(self) -> dict[int, list[str]]:
        """Return the topics of each version that has some."""
        return versions_in(await self._ask(self._admin.list_topics()), self._namespace)

    async def unused(self, after: int) -> int:
        """Return a version above another one that nobody has ever committed an offset of."""
        version = max(after, *(await self.by_version())) + 1
        while await self._offsets(Names(self._namespace, version).count_group):
            version += 1
        return version

    async def committed(self, version: int, topic: str) -> Offsets:
        """Return what the count group of a version has committed, where it has."""
        found = await self._offsets(Names(self._namespace, version).count_group)
        return {part.partition: at for part, at in found.items() if part.topic == topic}

    async def members(self, version: int) -> int:
        """Return how many count workers of a version there are."""
        group = Names(self._namespace, version).count_group
        return int(await self._ask(members_of(self._admin, group)))

    async def delete(self, versions: Collection[int]) -> None:
        """Delete all topics of some versions."""
        found = await self.by_version()
        names = [name for version in versions for name in found.get(version, ())]
        if not names:
            return
        answer = await self._ask(self._admin.delete_topics(names))
        for _, code in answer.topic_error_codes:
            error = for_code(code)
            if code and error is not UnknownTopicOrPartitionError:
                raise KafkaUnavailableError(f"Kafka does not delete old topics: {error.__name__}")

    async def _offsets(self, group: str) -> dict[Any, int]:
        found: dict[Any, int] = await self._ask(committed(self._admin, group))
        return found

    @staticmethod
    async def _ask(answer: Any) -> Any:
        with kafka_away():
            return await answer


def versions_in(topics: Collection[str], namespace: str) -> dict[int, list[str]]:
    """Return the names that belong to tables, by version."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    pattern = re.compile(re.escape(namespace) + f"(?:{OLD})")
    for name in topics:
        if match := pattern.fullmatch(name):
            found[int(match["topic"] or match["group"] or FIRST)].append(name)
    return dict(found)
