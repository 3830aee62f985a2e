"""Kafka, Postgres and Redis going away under load, and coming back."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus

import aiohttp
import pytest
from redis.asyncio import Redis as RedisClient

from app.settings import Role
from app.stack.kafka import Kafka
from app.stack.postgres import LocalPostgres
from app.stack.redis import Redis
from tests.kill.conftest import MakeScene, Scene
from tests.support.load import Load
from tests.support.readiness import state_of
from tests.support.waiting import wait_until
from web.query.messages import AS_OF

pytestmark = pytest.mark.kill


async def everyone(scene: Scene) -> None:
    """Start a worker of each role."""
    for role in ("count", "collect", "store"):  # the collector asks those before it
        scene.crew.hire(role).join()
    await scene.crew.ready()


async def away(part: LocalPostgres | Redis, scene: Scene) -> None:
    """Stop or kill a part."""
    scene.tally.outages += 1
    if scene.rng.random() < 0.5:
        await part.stop()
    else:
        part.child.kill()


async def figures(scene: Scene) -> tuple[int, bool]:
    """Ask through the collector; return the status, and whether the answer says how old it is."""
    url = f"http://{scene.settings.http_host}:{scene.settings.http_port}/counters"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, AS_OF in answer.headers


async def state(scene: Scene, role: Role) -> tuple[str, set[str]]:
    """Return what a worker of a role says of itself, and which sinks are away."""
    (member,) = scene.crew.hired(role)
    return await state_of(member.worker)


async def compare_everything(scene: Scene, load: Load) -> None:
    """Fail where a store is not equal to the log."""
    found = await scene.compare_with(load)
    await scene.crew.ready()
    await found.everything()
    await found.caught_up()


async def test_a_broker_killed_under_load(make_scene: MakeScene, kafka_part: Kafka) -> None:
    scene = await make_scene()
    rng, tally = scene.rng, scene.tally
    await everyone(scene)
    async with scene.load(http=True) as load:
        for _ in range(2):
            await load.sent(rng.randrange(300, 1000))
            kafka_part.child.kill()
            tally.outages += 1
            await asyncio.sleep(rng.random() * 3)
            if tally.outages == 1:
                await wait_until(partial(figures, scene), (HTTPStatus.OK, True))
            rng.choice(scene.crew.members).kill()  # it cannot start before Kafka has
            await kafka_part.start()
        await load.sent(300)
        await compare_everything(scene, load)
        await wait_until(partial(figures, scene), (HTTPStatus.OK, False))
    tally.exact = True


async def test_postgres_and_redis_away_for_a_while(
    make_scene: MakeScene, postgres_part: LocalPostgres, redis_part: Redis
) -> None:
    scene = await make_scene()
    rng, tally = scene.rng, scene.tally
    await everyone(scene)
    async with scene.load(http=True) as load:
        await load.sent(rng.randrange(300, 600))
        await away(postgres_part, scene)
        await load.sent(rng.randrange(300, 600))
        await wait_until(partial(state, scene, "store"), ("degraded", {"event"}))
        await away(redis_part, scene)
        await wait_until(partial(state, scene, "count"), lambda said: "redis" in said[1])
        found = await scene.compare_with(load)
        await found.counted()  # while both are away
    async with scene.load(http=True, ledger=load.ledger) as load:
        await redis_part.start()
        await load.sent(rng.randrange(300, 600))
        async with RedisClient.from_url(redis_part.address) as redis:
            await redis.flushall()
        await postgres_part.start()
        await load.sent(rng.randrange(300, 600))
        await compare_everything(scene, load)
        for role in ("store", "count"):
            await wait_until(partial(state, scene, role), ("ready", set()))
    tally.exact = True
    assert not tally.surprises
