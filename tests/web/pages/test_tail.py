"""GET /tail: what comes in, for who looks on; who reads slowly loses events, and is told so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

import web.pages.tail
from app.events.looked_at import LookedAt, looked_at
from tests.support.batches import RECORD_MS
from tests.support.http import Http
from tests.support.turns import turns_of
from tests.support.waiting import SOON_S
from web.pages.tail import TURN_BYTES, WAITING_MAX_BYTES, Onlooker, Tail


def record(event_type: str, offset: int = 0, more: str = "") -> SimpleNamespace:
    return SimpleNamespace(
        partition=1,
        offset=offset,
        timestamp=RECORD_MS,
        value=json.dumps({"type": event_type, "url": "/a", "properties": {"more": more}}).encode(),
    )


def found(event_type: str, offset: int = 0) -> LookedAt:
    made = looked_at(record(event_type, offset))
    assert made is not None
    return made


def told_of(one: LookedAt) -> bytes:
    return one.as_json() + b"\n\n"


async def events_of(answer: aiohttp.ClientResponse) -> Any:
    """Return the next event that the stream has."""
    async for line in answer.content:
        if line.startswith(b"data: "):
            return json.loads(line.removeprefix(b"data: "))
    raise AssertionError("the stream ended")


async def test_what_is_asked_for_is_shown_as_it_comes(http: Http) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{http.url}/tail?type=A&url=&user_id=u&other=1")
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        first = asyncio.create_task(events_of(answer))
        while not first.done():  # what came before somebody looked on is not shown
            for event in ({"type": "B", "user_id": "u"}, {"type": "A"}, {"user_id": "u"}):
                await http.call("PUT", "/event_generate/", json.dumps(event).encode())
            got = await http.call(
                "PUT", "/event_generate/?position=1", b'{"type":"A","user_id":"u","url":"/a"}'
            )
            await asyncio.wait([first], timeout=0.2)
        shown = await first
        assert list(shown) == ["position", "event"]
        assert shown["event"] | {"uuid": "", "received_at": ""} == {
            "type": "A",
            "url": "/a",
            "user_id": "u",
            "uuid": "",
            "received_at": "",
            "timestamp": shown["event"]["timestamp"],
        }
        partition, _, offset = shown["position"].partition(":")
        last_partition, _, after = got.headers["X-Event-Position"].partition(":")
        assert partition == last_partition
        assert int(offset) < int(after)
        answer.close()


async def test_twice_the_same_argument_is_a_bad_question(http: Http) -> None:
    assert (await http.get("/tail?type=A&type=B")).status == 400


@pytest.mark.parametrize("limit", ["ONLOOKERS_MAX", "ONE_ADDRESS_MAX"])
async def test_a_place_for_so_many(http: Http, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(web.pages.tail, limit, 1)
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{http.url}/tail")
        await answer.content.readany()
        got = await http.get("/tail")
        assert (got.status, got.json["code"]) == (429, "overloaded")
        answer.close()


async def test_who_reads_slowly_loses_the_oldest_and_is_told_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web.pages.tail, "WAITING_MAX", 2)
    follower = Onlooker({"type": "A"})
    assert follower.wants(found("A"))
    assert not follower.wants(found("B"))
    for offset in range(5):
        follower.offer(told_of(found("A", offset)))
    follower.drop(7)
    told = (await follower.next()).split(b"\n\n")
    assert told[0] == b'event: dropped\ndata: {"dropped":10}'
    assert [b'"position":"1:%d"' % offset in told[at] for at, offset in ((1, 3), (2, 4))] == [
        True,
        True,
    ]
    follower.offer(told_of(found("A", 9)))
    assert b"dropped" not in await follower.next()


async def test_long_events_wait_in_a_bounded_number_of_bytes() -> None:
    follower = Onlooker({})
    text = b"x" * 28_000
    many = WAITING_MAX_BYTES // len(text)
    for _ in range(many + 9):
        follower.offer(text)
    assert await follower.next() == b'event: dropped\ndata: {"dropped":9}\n\n' + text * many
    longest = b"x" * (WAITING_MAX_BYTES + 1)
    follower.offer(text)
    follower.offer(longest)  # an event alone is shown, however long
    assert await follower.next() == b'event: dropped\ndata: {"dropped":1}\n\n' + longest


async def test_an_event_is_encoded_once_and_others_have_their_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many, onlookers, encoded = 200, 3, 0
    records = [record("A", offset, more="x" * 20_000) for offset in range(many)]
    as_json = LookedAt.as_json

    def counting(one: LookedAt) -> bytes:
        nonlocal encoded
        encoded += 1
        return as_json(one)

    monkeypatch.setattr(LookedAt, "as_json", counting)

    class Newest:
        async def read(self) -> AsyncIterator[tuple[list[Any], int]]:
            yield records, 0
            await asyncio.Event().wait()

    tail = Tail(Newest())  # type: ignore[arg-type]

    async def look() -> None:
        async for told in tail.follow({"type": "A"}):
            if b'"position":"1:%d"' % (many - 1) in told:
                return

    async def everybody() -> None:
        await asyncio.gather(*(look() for _ in range(onlookers)))

    async with asyncio.timeout(SOON_S):
        turns = await turns_of(everybody())
    assert encoded == many
    assert turns >= many // (TURN_BYTES // 20_000 + 1)


async def test_who_sees_nothing_hears_that_the_stream_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web.pages.tail, "ALIVE_S", 0.01)
    assert await Onlooker({}).next() == b": nothing\n\n"


async def test_where_reading_fails_streams_end_and_the_next_one_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcomes = [ZeroDivisionError, asyncio.CancelledError]

    class Newest:
        async def read(self) -> AsyncIterator[tuple[list[Any], int]]:
            if outcomes:
                raise outcomes.pop(0)
            yield [], 3
            await asyncio.Event().wait()

    tail = Tail(Newest())  # type: ignore[arg-type]
    async with asyncio.timeout(SOON_S):
        for _ in outcomes.copy():
            assert b"dropped" not in b"".join([told async for told in tail.follow({})])
        async for told in tail.follow({}):
            if b'{"dropped":3}' in told:
                tail.close()
    said = [record.message for record in caplog.records]
    assert said == ["incoming events cannot be shown any more"] * 2
