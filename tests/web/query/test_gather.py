"""Queries that all count workers answer together: all partitions once, or 503."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from time import monotonic, time
from typing import cast

import aiohttp
import faust
import pytest

import web.query.link
import web.query.queries
from app.errors import BadRequestError, RecoveringError
from app.settings import Settings
from app.stack.ports import free_port
from app.transport.contact import Contact
from app.transport.ownership import Ownership
from tests.support.http import Http
from web.http.paths import Call, Kind
from web.http.server import Server
from web.http.worker_secret import WorkerSecret
from web.query.forward import CountWorkers
from web.query.gather import GatheredQuery, Gathering
from web.query.messages import AS_OF, Answer, Query
from web.query.queries import Queries

LISTED = Call("GET", "/stats/listed/{name}", Kind.FIGURES, "Asked of all.")
ITS_PATH = Call("GET", "/stats/{name}", Kind.FIGURES, "The parts of its path.")

PARTITIONS = 4


class FixedOwnership:
    """Partitions as a test says; url None: the worker itself."""

    def __init__(self, urls: dict[int, str | None]) -> None:
        self.urls, self.generation = urls, 0

    def owners(self) -> dict[str | None, list[int]]:
        if len(self.urls) < PARTITIONS:
            raise RecoveringError("a partition has no ready worker")
        owners: dict[str | None, list[int]] = {}
        for partition, url in sorted(self.urls.items()):
            owners.setdefault(url, []).append(partition)
        return owners

    def answers(self, partition: int) -> bool:
        return partition in self.urls and self.urls[partition] is None


class Listed(GatheredQuery[int, list[int]]):
    """Lists n + partition for each partition."""

    ask_type, part_type = int, list[int]
    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def parse(self, query: Query) -> int:
        try:
            return int(query.args["n"])
        except ValueError as exc:
            raise BadRequestError("n is no number") from exc

    async def local(self, ask: int, partitions: list[int]) -> list[int]:
        await asyncio.sleep(0)
        self.meanwhile()
        return [ask + partition for partition in partitions]

    def merge(self, ask: int, parts: list[list[int]]) -> object:
        return {"n": ask, "listed": sorted(n for part in parts for n in part)}


class CountWorker:
    """The queries of a count worker, without its tables."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.ownership, self.kind = FixedOwnership({}), Listed()
        self.app = faust.App(
            f"worker-{port}", web_bind="127.0.0.1", web_host="127.0.0.1", web_port=port
        )
        self.app.web = Server(self.app, Settings())
        owned = cast("Ownership", self.ownership)
        self.contact = Contact(silent_after_s=6, stale_max_s=60)
        queries = Queries(self.app, owned, contact=self.contact)
        Gathering(self.app, queries, owned).add(LISTED, self.kind)
        queries.add(ITS_PATH, lambda query: Answer.json(query.segments))
        web.query.queries.register(self.app, queries)
        web.query.link.register(self.app, queries)

    def be_silent(self, seconds: float) -> None:
        """As if Kafka had not been heard of for so long."""
        self.contact.heard(monotonic() - seconds)


@pytest.fixture
async def workers() -> AsyncIterator[list[CountWorker]]:
    """Return two workers with two partitions each."""
    async with AsyncExitStack() as stack:
        made = [CountWorker(free_port()) for _ in range(2)]
        for number, worker in enumerate(made):
            other = made[1 - number].url
            for partition in range(PARTITIONS):
                mine = partition % 2 == number
                worker.ownership.urls[partition] = None if mine else other
            await worker.app.web.start()
            stack.push_async_callback(worker.app.web.stop)
            stack.push_async_callback(worker.app.http_client.close)
        yield made


Ask = Callable[..., Awaitable[tuple[int, object]]]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Return a function that asks a worker: (status, JSON)."""
    async with aiohttp.ClientSession() as session:

        async def get(
            worker: CountWorker, path: str = "/stats/listed/x?n=10"
        ) -> tuple[int, object]:
            answer = await Http(session, worker.url).get(path)
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) >= 1
            return answer.status, answer.json

        yield get


async def test_any_worker_answers_for_all(workers: list[CountWorker], ask: Ask) -> None:
    for worker in workers:
        assert await ask(worker) == (200, {"n": 10, "listed": [10, 11, 12, 13]})


async def test_one_worker_alone_answers(workers: list[CountWorker], ask: Ask) -> None:
    one = workers[0]
    one.ownership.urls = dict.fromkeys(range(PARTITIONS))
    assert await ask(one) == (200, {"n": 10, "listed": [10, 11, 12, 13]})


async def test_a_bad_query_is_400_also_while_partitions_move(
    workers: list[CountWorker], ask: Ask
) -> None:
    workers[0].ownership.urls.clear()
    status, answer = await ask(workers[0], "/stats/listed/x?n=ten")
    assert (status, cast("dict[str, str]", answer)["code"]) == (400, "bad_request")


async def test_a_worker_that_is_away_is_503(workers: list[CountWorker], ask: Ask) -> None:
    one, two = workers
    await two.app.web.stop()
    assert (await ask(one))[0] == 503
    one.ownership.urls = dict.fromkeys(range(PARTITIONS))  # they have moved
    assert (await ask(one))[0] == 200


async def test_partitions_on_their_way_are_503(workers: list[CountWorker], ask: Ask) -> None:
    one, two = workers
    two.ownership.urls[3] = one.url  # it has let go of it; the other does not know yet
    assert (await ask(one))[0] == 503
    two.ownership.urls[3] = None
    assert (await ask(one))[0] == 200
    del one.ownership.urls[3]  # nobody has it
    assert (await ask(one))[0] == 503


async def test_partitions_that_move_while_they_are_read_are_503(
    workers: list[CountWorker], ask: Ask
) -> None:
    def move() -> None:
        worker.ownership.generation += 1

    for worker in workers:
        worker.kind.meanwhile = move
        assert (await ask(workers[0]))[0] == 503
        worker.kind.meanwhile = Listed.meanwhile


async def test_a_fault_of_ours_is_500_and_answered(workers: list[CountWorker], ask: Ask) -> None:
    def fail() -> None:
        raise ValueError

    workers[0].kind.meanwhile = fail
    status, answer = await ask(workers[0])
    assert (status, cast("dict[str, str]", answer)["code"]) == (500, "internal_error")
    assert (await ask(workers[1]))[0] == 503  # the other one is no owner that can answer


async def test_paths_are_told_apart_by_all_their_parts(
    workers: list[CountWorker], ask: Ask
) -> None:
    assert await ask(workers[0], "/stats/a%2Fb") == (200, ["stats", "a/b"])
    assert (await ask(workers[0], "/stats/a/b"))[0] == 404
    assert (await ask(workers[0], "/stats/listed/a/b?n=1"))[0] == 404
    assert (await ask(workers[0], "/stats"))[0] == 404


async def test_figures_without_kafka_say_how_old_they_are(workers: list[CountWorker]) -> None:
    path, begun = "/stats/listed/x?n=10", time()
    async with aiohttp.ClientSession() as session:
        one = Http(session, workers[0].url)
        assert AS_OF not in (await one.get(path)).headers
        for worker in workers:
            worker.be_silent(10)
        answer = await one.get(path)
        assert answer.json == {"n": 10, "listed": [10, 11, 12, 13]}
        of = datetime.fromisoformat(answer.headers[AS_OF]).timestamp()
        assert begun - 11 < of <= time() - 9
        assert AS_OF in (await one.get("/stats/a")).headers
        for worker in workers:
            worker.be_silent(61)
        answer = await one.get("/stats/a")
        assert (answer.status, answer.json["code"]) == (503, "unavailable")
        assert "EVENT_COUNTER_STALE_MAX_S" in answer.json["message"]


async def test_who_alone_is_cut_off_does_not_answer_for_others(
    workers: list[CountWorker], ask: Ask
) -> None:
    workers[1].be_silent(10)
    assert (await ask(workers[0]))[0] == 503  # it needs the other one's part
    workers[0].be_silent(10)
    assert (await ask(workers[0]))[0] == 200


@pytest.mark.parametrize(("hears", "status"), [(True, 503), (False, 200)])
async def test_a_collector_believes_old_figures_only_while_it_does_not_hear_kafka(
    workers: list[CountWorker], *, hears: bool, status: int
) -> None:
    query = Query("GET", "/stats/a")
    for urls in ([workers[0].url], [worker.url for worker in workers]):
        asked = CountWorkers(urls, WorkerSecret(), lambda: hears)
        for worker in workers:
            worker.be_silent(0)
        assert (await asked.ask(query)).status == 200
        for worker in workers:
            worker.be_silent(10)
        assert (await asked.ask(query)).status == status
        await asked.close(None)


async def test_a_collector_asks_on_where_one_worker_is_cut_off(workers: list[CountWorker]) -> None:
    asked = CountWorkers([worker.url for worker in workers], WorkerSecret(), lambda: True)
    workers[1].be_silent(10)
    for _ in range(4):
        answer = await asked.ask(Query("GET", "/stats/a"))
        assert (answer.status, AS_OF in answer.headers) == (200, False)
    await asked.close(None)
