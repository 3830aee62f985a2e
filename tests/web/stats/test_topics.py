"""GET /rejected and /alerts: the newest first, whatever the topics hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from app.kafka.ends import ANSWER_MAX_BYTES
from app.names import Names
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient

# Of yesterday: Kafka deletes what is older than its retention.
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=123_000) - timedelta(1)
NOON_MS = int(NOON.timestamp() * 1000)


def numbered(number: int, **more: object) -> bytes:
    return json.dumps({"number": number, **more}).encode()


async def test_nothing_yet_is_an_empty_list(http: Http) -> None:
    assert (await http.get("/rejected")).json == {"rejected": []}
    assert (await http.get("/alerts/")).json == {"alerts": []}


async def test_the_newest_come_first_and_say_when(
    http: Http, topics: Names, kafka: KafkaClient
) -> None:
    for number in range(70):
        await kafka.send(topics.rejected, [numbered(number)], timestamp_ms=NOON_MS + number * 1000)
    found = (await http.get("/rejected")).json["rejected"]
    assert [item["number"] for item in found] == list(range(69, 19, -1))
    assert found[-1] == {"number": 20, "rejected_at": f"{NOON:%Y-%m-%d}T12:00:20.123Z"}
    for limit in (3, 1000, 1):
        found = (await http.get(f"/rejected?limit={limit}")).json["rejected"]
        assert [item["number"] for item in found] == list(range(69, -1, -1))[:limit]
    await kafka.send(topics.rejected, [numbered(70)], timestamp_ms=NOON_MS + 99_000)
    assert (await http.get("/rejected?limit=1")).json["rejected"][0]["number"] == 70


async def test_alerts_of_all_partitions_are_in_one_order(
    http: Http, topics: Names, kafka: KafkaClient
) -> None:
    for number in range(40):
        await kafka.send(
            topics.alerts, [numbered(number)], number * 7 % 4, timestamp_ms=NOON_MS + number
        )
    found = (await http.get("/alerts?limit=25")).json["alerts"]
    assert found == [{"number": number} for number in range(39, 14, -1)]


@pytest.mark.parametrize("name", ["alerts", "rejected"])
async def test_what_a_frozen_worker_repeated_is_told_once(
    name: str, http: Http, topics: Names, kafka: KafkaClient
) -> None:
    topic = getattr(topics, name)
    for number, key in enumerate((b"a", b"b", b"a", b"c", b"b")):
        await kafka.send(topic, [numbered(number)], 0, key=key, timestamp_ms=NOON_MS)
    found = (await http.get(f"/{name}")).json[name]
    assert sorted(item["number"] for item in found) == [0, 1, 3]


async def test_what_is_no_json_object_is_left_out(
    http: Http, topics: Names, kafka: KafkaClient
) -> None:
    await kafka.send(topics.rejected, [b"no JSON", numbered(1), b"[]", b""])
    found = (await http.get("/rejected")).json["rejected"]
    assert [item["number"] for item in found] == [1]


async def test_an_answer_is_never_larger_than_its_bound(
    http: Http, topics: Names, kafka: KafkaClient
) -> None:
    large = "x" * 100_000
    await kafka.send(topics.rejected, [numbered(number, payload=large) for number in range(60)])
    answer = await http.get("/rejected?limit=1000")
    numbers = [item["number"] for item in answer.json["rejected"]]
    assert numbers == list(range(59, 59 - len(numbers), -1))
    assert ANSWER_MAX_BYTES * 0.9 < len(answer.body) < ANSWER_MAX_BYTES * 1.1


@pytest.mark.parametrize(
    "limit", ["0", "1001", "-1", "", "many", "1e2", "9" * 5000, "%C2%B2", "1.0"]
)
async def test_a_limit_out_of_range_is_refused(http: Http, limit: str) -> None:
    for path in ("/rejected", "/alerts"):
        answer = await http.get(f"{path}?limit={limit}")
        assert (answer.status, answer.json["code"]) == (400, "bad_request")
        assert "1 to 1000" in answer.json["message"]
