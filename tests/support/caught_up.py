"""When role count has nothing left to do."""

from __future__ import annotations

from aiokafka.errors import KafkaError

from app.errors import KafkaUnavailableError
from app.kafka.tables_version import current_version
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

DEADLINE_S = 120.0


async def caught_up(settings: Settings, kafka: KafkaClient) -> None:
    """Wait until the group `count` has committed all of `events`, `counts` and `uniques`."""

    async def behind() -> list[str]:
        lags = []
        names = Names(settings.namespace, await current_version(settings))
        for topic in (names.events, names.counts, names.uniques):
            ends = await kafka.ends(topic)
            at = await kafka.committed(names.count_group, topic)
            lags += [f"{topic}-{p}" for p, end in ends.items() if at.get(p, 0) < end]
        return lags

    away = (KafkaError, KafkaUnavailableError)
    await wait_until(behind, [], deadline_s=DEADLINE_S, every_s=0.3, passing=away)
