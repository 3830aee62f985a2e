"""min_position= and wait=: what is one, and what becomes of a query that asks for too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

import aiohttp
import faust
import pytest

import web.query.queries
import web.query.reuse
from app.errors import BadRequestError
from app.events.positions import parse, shown
from app.settings import Settings
from app.stack.ports import free_port
from app.transport.ownership import Ownership
from tables.floor import Floor
from tables.reached import Reached, all_reached
from tests.support.http import Http
from tests.web.query.test_gather import LISTED, FixedOwnership, Listed
from web.http.paths import Call, Kind
from web.http.server import Server
from web.query.gather import Gathering
from web.query.least import Least, least, seconds_of
from web.query.messages import Answer, Query
from web.query.queries import Queries
from web.query.reuse import Reuse

KEYED = Call("GET", "/stats/keyed", Kind.FIGURES, "Of one partition.")
SOURCES = 4


class Owned(FixedOwnership):
    """Keyed queries ask for one partition's worker, too."""

    def url(self, partition: int) -> str | None:
        return self.urls[partition]


class Worker:
    """The queries of a count worker with two tables' worth of marks, and no tables."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.ownership = Owned({})
        self.merged: dict[int, int] = {}
        self.asked = 0
        self.reached = Reached(lambda _partition, asked: all_reached(self.merged, asked))
        self.app = faust.App(
            f"least-{port}", web_bind="127.0.0.1", web_host="127.0.0.1", web_port=port
        )
        self.app.web = Server(self.app, Settings())
        owned = cast("Ownership", self.ownership)
        queries = Queries(self.app, owned, None, self.reached, SOURCES)
        Gathering(self.app, queries, owned, self.reached).add(LISTED, Listed())

        def keyed(query: Query) -> Answer:
            self.asked += 1
            queries.check_owner(int(query.args["p"]), query)
            return Answer.json({"merged": shown(self.merged)})

        queries.add(KEYED, keyed)
        web.query.queries.register(self.app, queries)

    def merge(self, **more: int) -> None:
        self.merged |= {int(name.removeprefix("p")): at for name, at in more.items()}
        self.reached.wake(0)
        self.reached.wake(1)
        self.reached.wake(2)
        self.reached.wake(3)


@pytest.fixture
async def workers() -> AsyncIterator[list[Worker]]:
    """Return two workers with two partitions each."""
    async with AsyncExitStack() as stack:
        made = [Worker(free_port()) for _ in range(2)]
        for one, other in (made, made[::-1]):
            own = range(2) if one is made[0] else range(2, 4)
            one.ownership.urls = {p: None if p in own else other.url for p in range(4)}
            await one.app.web.start()
            stack.push_async_callback(one.app.web.stop)
            stack.push_async_callback(one.app.http_client.close)
        yield made


@pytest.fixture
async def http(workers: list[Worker]) -> AsyncIterator[Http]:
    """Yield a client of the first worker."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Http(session, workers[0].url)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", ":", "0:", ":5", "a:5", "0:5,", "0:-1", "-1:5", "0:1.5", " 0:5", "4:0"),
        *("0:5,4:1", "٣:5", "0:9223372036854775808", "0:5;1:5", "000000:5"),
    ],
)
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(BadRequestError):
        parse(text, SOURCES)


def test_what_is_a_position() -> None:
    assert parse("3:9223372036854775807", SOURCES) == {3: 2**63 - 1}
    assert parse("0:17,3:4711,0:25,0:2", SOURCES) == {0: 25, 3: 4711}
    assert shown({3: 4711, 0: 25}) == "0:25,3:4711"


@pytest.mark.parametrize("text", ["", "-1", "10.1", "11", "nan", "inf", "1e1", "x", " 1", "٣"])
def test_what_is_no_time_to_wait(text: str) -> None:
    with pytest.raises(BadRequestError):
        seconds_of(text)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("10", 10), ("0.25", 0.25), ("10.0", 10)])
def test_what_is_a_time_to_wait(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("path", ["/stats/keyed?p=0&", "/stats/keyed?p=2&", "/stats/listed/a?n=1&"])
async def test_a_query_that_asks_for_what_is_not_there_yet(
    http: Http, workers: list[Worker], path: str
) -> None:
    for bad in ("min_position=x", "min_position=0:0&wait=11", "wait=x", "min_position=4:1"):
        got = await http.get(path + bad)
        assert (got.status, got.json["code"]) == (400, "bad_request"), bad
    for nothing in ("min_position=0:0", "wait=1", "x=1"):
        assert (await http.get(path + nothing)).status == 200
    for behind in ("min_position=0:5,1:7", "min_position=0:5,1:7&wait=0.01"):
        got = await http.get(path + behind)
        assert (got.status, got.json["code"]) == (503, "behind"), got
        assert got.headers["Retry-After"] == "1"
    waiting = asyncio.create_task(http.get(f"{path}min_position=0:5,1:7&wait=10"))
    for worker in workers:
        worker.merge(p0=5, p1=6)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    for worker in workers:
        worker.merge(p1=7)
    assert (await waiting).status == 200


@pytest.mark.parametrize("path", ["/stats/keyed?p=0", "/stats/keyed?p=2", "/stats/listed/a?n=1"])
async def test_nothing_is_lower_than_what_older_tables_answered(
    http: Http, workers: list[Worker], path: str
) -> None:
    floor = workers[0].reached.floor = workers[1].reached.floor = Floor()

    async def refused(question: str) -> tuple[int, str, str | None]:
        got = await http.get(question)
        return got.status, got.json["code"], got.headers.get("Retry-After")

    recovering = (503, "recovering", "1")
    assert await refused(path) == recovering, "somebody answers from older tables"
    floor.positions = {0: 5, 1: 7}
    for worker in workers:
        worker.merge(p0=5, p1=6)
    assert await refused(path) == recovering
    assert await refused(f"{path}&min_position=0:5&wait=10") == recovering
    for worker in workers:
        worker.merge(p1=7)
    assert (await http.get(path)).status == 200


async def test_those_who_wait_hold_up_nobody_else(http: Http, workers: list[Worker]) -> None:
    waiting = [
        asyncio.create_task(http.get("/stats/keyed?p=2&min_position=0:5&wait=10"))
        for _ in range(130)  # more than connections of aiohttp by default
    ]
    while workers[1].asked < len(waiting):
        await asyncio.sleep(0.01)
    assert (await http.get("/stats/keyed?p=2")).status == 200
    workers[1].merge(p0=5)
    assert {(await one).status for one in waiting} == {200}


async def test_a_query_goes_on_waiting_where_its_partition_went(
    http: Http, workers: list[Worker]
) -> None:
    waiting = asyncio.create_task(http.get("/stats/keyed?p=0&min_position=0:5&wait=10"))
    while not workers[0].asked:
        await asyncio.sleep(0.01)
    workers[1].merge(p0=5)
    workers[0].ownership.urls[0], workers[1].ownership.urls[0] = workers[1].url, None
    workers[0].reached.forget()
    got = await waiting
    assert (got.status, got.json) == (200, {"merged": "0:5"})


async def test_an_answer_that_was_made_for_less_is_not_given_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reuse, made = Reuse[int](60), 0
    monkeypatch.setattr(web.query.reuse, "monotonic", lambda: made)  # making one takes a second

    async def make() -> int:
        nonlocal made
        made += 1
        return made

    async def ask(positions: dict[int, int] | None) -> Any:
        until = asyncio.get_running_loop().time()
        least.set(None if positions is None else Least(positions, until, 0))
        return await reuse.get("question", make)

    assert await asyncio.create_task(ask(None)) == 1
    assert await asyncio.create_task(ask(None)) == 1
    assert await asyncio.create_task(ask({0: 5})) == 2
    assert await asyncio.create_task(ask({0: 5})) == 2
    assert await asyncio.create_task(ask({0: 6})) == 3
    assert await asyncio.create_task(ask(None)) == 1
