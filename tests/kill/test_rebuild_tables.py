"""`rebuild tables` while events flow, and it, a second one and count workers are killed."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import asyncpg
import pytest
from aiokafka import ConsumerRecord

from app.kafka.tables_version import current_version
from app.settings import Settings
from tests.kill.conftest import MakeScene, Scene
from tests.support.event_maker import HOT_URLS
from tests.support.exactness import Exactness
from tests.support.growing import Growing
from tests.support.kafka_client import KafkaClient
from tests.support.ledger import truth_of
from tests.support.rebuilding import Command, count_too_much, versions
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kill, pytest.mark.timeout(400)]

QUICK = {"summary_interval_s": 0.5, "redis_interval_s": 0.3, "commit_interval_s": 0.3}
MINUTELY = 5  # number of events_by_type_minutely, which only the tables hold
FIGURES = ["/counts/events_by_type", f"/counts/events_by_url?key={quote(HOT_URLS[0])}"]
ENDED = ("ended with 0", "left with -15")  # to change over; told to end while it was starting


async def test_tables_are_counted_anew_while_events_flow_and_workers_die(
    make_scene: MakeScene, kafka: KafkaClient
) -> None:
    scene = await make_scene(**QUICK)
    crew, namespace = scene.crew, scene.settings.namespace
    crew.hire("store").join()
    counts = [crew.hire("count") for _ in range(3)]
    for member in counts:
        member.join()
    await crew.ready()
    async with scene.load(rate=250) as load:
        await load.sent(1200)
        past = await _only_postgres_knows_the_past(scene)
        await count_too_much(kafka, scene.names, MINUTELY)
        await _only_one_at_a_time(scene)
        first = _command(scene, "first", "rebuild", "tables")
        log = scene.settings.data_dir / "logs/rebuild-tables.log"
        await wait_until(log.exists, expected=True, deadline_s=60)
        await first.kill()
        assert await versions(kafka, namespace) == [1, 2]
        assert await current_version(scene.settings) == 1
        assert await counts[1].worker.is_ready()
        second = _command(scene, "second", "rebuild", "tables")
        await wait_until(lambda: versions(kafka, namespace), [1, 3], deadline_s=60)
        counts[0].kill()
        await _switched(scene, second)
        assert await versions(kafka, namespace) == [3]
        await _compared_through_a_rebalance(scene)
        ledger = await load.stop()
    records = past + await kafka.read(scene.names.events)
    found = Exactness(scene.settings, kafka, truth_of(ledger, records), crew.urls)
    scene.tally.events = len(found.truth.places)
    await crew.ready()
    await found.everything()
    await found.caught_up()
    scene.tally.exact = True
    assert [s for s in scene.tally.surprises if not any(end in s for end in ENDED)] == []


async def _only_postgres_knows_the_past(scene: Scene) -> list[ConsumerRecord]:
    """Let Kafka delete what was stored and counted; return what it deleted."""
    kafka, names = scene.kafka, scene.names
    counted = await kafka.committed(names.count_group, names.events)
    stored = await kafka.committed(names.store_group, names.events)
    ends = {p: min(end, stored.get(p, 0)) for p, end in counted.items()}
    assert sum(ends.values()) > 500
    records = [r for r in await kafka.read(names.events) if r.offset < ends.get(r.partition, 0)]
    await kafka.delete_before(names.events, ends)
    return records


async def _only_one_at_a_time(scene: Scene) -> None:
    holder = await asyncpg.connect(scene.settings.postgres.get_secret_value())
    await holder.execute("select pg_advisory_lock(hashtext('event_counter.rebuild_tables'))")
    code, said = await _command(scene, "other", "rebuild", "tables").done()
    await holder.close()
    assert code == 1
    assert said.splitlines()[-1].startswith("event-counter: another"), said


async def _switched(scene: Scene, command: Command) -> None:
    """No figure is lower after the switch than it was before."""
    async with Growing(scene.crew.urls, FIGURES, lambda said: said["total"]) as figures:
        code, said = await command.done()
        assert (code, "the tables are rebuilt" in said) == (0, True), said
        await figures.answered_again()


async def _compared_through_a_rebalance(scene: Scene) -> None:
    """Audit, redis and summary with three workers, of which one leaves and comes back.

    And tables with other settings than theirs, which are refused.
    """
    leaving = [*scene.crew.hired("count")][2]
    commands = [
        _command(scene, arguments[-1], *arguments)
        for arguments in (["audit"], ["rebuild", "summary"], ["rebuild", "redis"])
    ]
    other = scene.settings.model_copy(update={"bot_limit": 11})
    refused = _command(scene, "refused", "rebuild", "tables", settings=other)
    await leaving.leave()
    leaving.join()
    for code, said in await asyncio.gather(*(command.done() for command in commands)):
        assert code == 0, said
    code, said = await refused.done()
    assert (code, "EVENT_COUNTER_BOT_LIMIT=10" in said) == (1, True), said


def _command(scene: Scene, name: str, *arguments: str, settings: Settings | None = None) -> Command:
    output = scene.settings.data_dir.parent / f"{name}.out"
    return Command(settings or scene.settings, scene.crew.urls, output, *arguments)
