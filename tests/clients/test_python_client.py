"""event_counter_client where all goes well: threads, asyncio, the end of a process."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.names import Names
from event_counter_client import Client, Rejected, Stats
from tests.clients.conftest import MakeClient
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import SOON_S


async def stored(kafka: KafkaClient, topics: Names) -> list[dict[str, Any]]:
    return [json.loads(value) for value in await kafka.values(topics.events)]


async def test_events_of_many_threads_and_of_asyncio_arrive_once(
    http: Http, kafka: KafkaClient, topics: Names, make_client: MakeClient
) -> None:
    client = make_client(http.url)

    def click(thread: int) -> None:
        for number in range(700):
            assert client.send("CLICK", f"/{thread}/{number}", user_id=f"u{thread}")

    clicks = [asyncio.to_thread(click, thread) for thread in range(4)]
    views = [client.asend("VIEW", f"/{number}") for number in range(300)]
    await asyncio.gather(*clicks, *views)
    assert await client.aflush(SOON_S)
    events = await stored(kafka, topics)
    expected = {f"/{thread}/{number}" for thread in range(4) for number in range(700)}
    assert {event["url"] for event in events if event["type"] == "CLICK"} == expected
    assert Counter(event["type"] for event in events) == {"CLICK": 2800, "VIEW": 300}
    assert client.stats() == Stats(0, 3100, 0, 0, 0, 0, "")


async def test_an_event_keeps_what_it_says_and_gets_an_id_and_the_time_of_its_sending(
    http: Http, kafka: KafkaClient, topics: Names, make_client: MakeClient
) -> None:
    client = make_client(http.url, linger_s=0)
    properties = {"plan": "pro"}
    before = datetime.now(UTC)
    client.send("a", "/ä", user_id="u", value=1.5, properties=properties)
    after = datetime.now(UTC)
    properties["plan"] = "changed later"
    given = datetime(2024, 3, 15, 14, 30, tzinfo=UTC)
    client.send("b", user_id="u", timestamp=given, message_id="mine", uuid=UUID(int=7))
    assert await client.aflush(SOON_S)
    first, second = await stored(kafka, topics)
    assert before <= datetime.fromisoformat(first["timestamp"]) <= after
    assert UUID(first["message_id"]).version == 4
    assert (first["url"], first["value"], first["properties"]) == ("/ä", 1.5, {"plan": "pro"})
    assert (second["message_id"], second["uuid"]) == ("mine", str(UUID(int=7)))
    assert second["timestamp"] == "2024-03-15T14:30:00Z"


async def test_what_is_refused_is_told_and_its_neighbours_are_counted(
    http: Http, kafka: KafkaClient, topics: Names, make_client: MakeClient
) -> None:
    refused: list[Rejected] = []
    client = make_client(http.url, on_error=refused.append)
    for event in (
        {"type": "good", "user_id": "1"},
        {"type": "", "user_id": "2"},
        {"type": "good", "user_id": "3", "timestamp": "yesterday"},
        {"type": "good", "user_id": "4", "properties": {"key": object()}},
        {"type": "good", "user_id": "5", "timestamp": datetime(2024, 3, 15)},  # noqa: DTZ001
        {"type": "good", "user_id": "6", "url": "x" * 32_768},
        {"type": "good", "user_id": "7", "url": "\udcff"},
        {"type": "good", "user_id": "8", "value": float("nan")},
        {"type": "good", "user_id": "9"},
    ):
        assert client.send(**event)
    assert await client.aflush(SOON_S)
    assert [event["user_id"] for event in await stored(kafka, topics)] in (["1", "9"], ["9", "1"])
    assert {each.event["user_id"]: each.code for each in refused} == {
        "2": "missing_type",
        "3": "invalid_timestamp",
        "4": "not_json",
        "5": "not_json",
        "6": "too_large",
        "7": "not_json",
        "8": "not_json",
    }
    assert all(each.message for each in refused)
    stats = client.stats()
    assert (stats.accepted, stats.rejected, stats.waiting) == (2, 7, 0)


async def test_an_error_in_on_error_stops_nothing(http: Http, make_client: MakeClient) -> None:
    def fail(_: Rejected) -> None:
        raise ValueError

    client = make_client(http.url, on_error=fail)
    for event_type in ("", "a", "", "b"):
        client.send(event_type)
    assert await client.aflush(SOON_S)
    assert (client.stats().accepted, client.stats().rejected) == (2, 2)


async def test_the_end_of_the_interpreter_sends_what_waits(
    http: Http, kafka: KafkaClient, topics: Names, write_script: Any
) -> None:
    command = write_script(
        "from event_counter_client import Client\n"
        f"client = Client({http.url!r}, linger_s=60)\n"
        "for number in range(100): client.send('CLICK', f'/{number}')\n"
    )
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0
    assert {event["url"] for event in await stored(kafka, topics)} == {f"/{n}" for n in range(100)}


async def test_a_forked_child_sends_its_own_events_and_no_others(
    http: Http, kafka: KafkaClient, topics: Names, write_script: Any
) -> None:
    command = write_script(
        "import os\n"
        "from event_counter_client import Client\n"
        f"client = Client({http.url!r}, linger_s=0.3)\n"
        "def send(who):\n"
        "    for number in range(300): client.send('CLICK', f'/{who}/{number}')\n"
        "send('parent')\n"
        "child = os.fork()\n"
        "send('late' if child else 'child')\n"
        "assert client.flush(30)\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0
    events = await stored(kafka, topics)
    expected = {f"/{who}/{n}" for who in ("parent", "late", "child") for n in range(300)}
    assert sorted(event["url"] for event in events) == sorted(expected)
    assert len({event["message_id"] for event in events}) == len(events)


async def test_a_closed_client_takes_nothing(http: Http) -> None:
    async with Client(http.url) as client:
        client.send("CLICK")
    assert client.stats().accepted == 1
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.send("CLICK")
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.asend("CLICK")
