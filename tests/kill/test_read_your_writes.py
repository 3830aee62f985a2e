"""What an answer must hold at least, while count workers come, die and leave: never less."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count

import aiohttp
import pytest

from tests.kill.conftest import MakeScene, Scene
from tests.support.http import Answer, Http

pytestmark = pytest.mark.kill

CLIENTS = 12
ROUNDS = 4  # of each client, between two disturbances
TRIES = 200  # each waits up to 10 s where the tables are only behind


class Client:
    """Sends events of its own and asks for them at once."""

    def __init__(self, number: int, doors: list[Http], statuses: Counter[int]) -> None:
        """doors: the collector, then the count workers."""
        self._name, self._doors, self._statuses = f"c{number}", doors, statuses
        self._turn = count(number)
        self.sent = 0

    async def round(self) -> None:
        """Send an event, and ask everything that it is a part of."""
        name = self._name
        event = {"type": "VIEW", "url": f"{name}.example/p", "user_id": name, "session_id": name}
        body = json.dumps(event).encode()
        got = await self._doors[0].call("PUT", "/event_generate/?position=1", body)
        assert got.status == 200, got
        self.sent += 1
        least = f"min_position={got.headers['X-Event-Position']}&wait=10"
        assert await self._tracked(least) == self.sent
        assert await self._viewed(least) == self.sent
        sessions = (await self._ask(f"/stats/users/{name}/sessions?{least}")).json["sessions"]
        assert [session["events"] for session in sessions] == [self.sent]
        website = (await self._ask(f"/stats/page_views?website={name}.example&{least}")).json
        assert website["views"] == self.sent
        active = (await self._ask(f"/stats/active_users?window=3600&{least}")).json
        assert 1 <= active["active_users"] <= CLIENTS

    async def _tracked(self, least: str) -> int:
        asked = json.dumps({"url": f"{self._name}.example/p"}).encode()
        got = await self._ask(f"/event_track/?{least}", asked)
        counts: dict[str, int] = {one["type"]: one["count"] for one in got.json["events"]}
        return counts["VIEW"]

    async def _viewed(self, least: str) -> int:
        got = await self._ask(f"/stats/top_pages?window=3600&limit=1000&{least}")
        views: dict[str, int] = {one["page"]: one["views"] for one in got.json["pages"]}
        return views[f"{self._name}.example/p"]

    async def _ask(self, path: str, body: bytes | None = None) -> Answer:
        """Return the answer, sooner or later; a worker that is away or behind says so."""
        for _ in range(TRIES):
            door = self._doors[next(self._turn) % len(self._doors)]
            try:
                got = await door.call("POST" if body else "GET", path, body)
            except aiohttp.ClientError:  # a worker that was killed; the collector asks another
                await asyncio.sleep(0.1)
                continue
            self._statuses[got.status] += 1
            if got.status == 200:
                return got
            assert (got.status, got.json["code"]) in {(503, "behind"), (503, "recovering")}, got
            assert int(got.headers["Retry-After"]) >= 1
            await asyncio.sleep(0.1)
        raise AssertionError(f"no answer to {path}")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield an HTTP session."""
    async with aiohttp.ClientSession() as opened:
        yield opened


async def test_nobody_gets_an_older_answer_than_asked_for(
    make_scene: MakeScene, session: aiohttp.ClientSession
) -> None:
    scene: Scene = await make_scene()
    crew = scene.crew
    workers = [crew.hire("count") for _ in range(3)]
    collector = crew.hire("collect")
    for member in (*workers[:2], collector):
        member.join()
    await crew.ready()
    doors = [Http(session, url) for url in (collector.worker.url, *crew.urls[:2])]
    statuses = Counter[int]()
    clients = [Client(number, doors, statuses) for number in range(CLIENTS)]

    async def rounds(client: Client) -> None:
        for _ in range(ROUNDS):
            await client.round()

    async def all_of() -> None:
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(rounds(client))

    await all_of()
    workers[2].join()  # partitions move while they ask
    await all_of()
    workers[0].kill(wipe=True)
    await all_of()
    await workers[1].leave()
    doors.pop()
    await all_of()
    assert {client.sent for client in clients} == {4 * ROUNDS}
    assert statuses[200] == 5 * 4 * ROUNDS * CLIENTS
    scene.tally.exact = True
