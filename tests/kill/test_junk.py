"""Strange records in every topic while events flow: nothing stops, and every count is exact."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec
import pytest
from aiokafka.errors import KafkaError

from tests.kill.conftest import MakeScene, Scene
from tests.support.kafka_client import STRANGE
from tests.support.ledger import Ledger
from tests.support.rebuilding import Command
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kill

COUNTERS = """
[[counter]]
name = "types_by_day"
key = "type"
window = "1d"
most_keys = 3

[[counter]]
name = "users_by_type"
key = "type"
measure = "distinct:user_id"
window = "1d"
"""
QUICK = {"summary_interval_s": 0.5, "redis_interval_s": 0.3, "commit_interval_s": 0.3}
HUGE_BYTES = 900_000
TOPICS = 16
TABLES = ("partials", "totals", "judged", "sessions", "uniques", "messages")
PASSED = {*(f"{name}-changelog" for name in TABLES), "alerts", "counter-decisions"}


class Strange(NamedTuple):
    """A record that nobody of ours wrote."""

    partition: int
    key: bytes | None
    value: bytes | None


def values() -> dict[bytes | None, str]:
    """Return {value: the code that it is rejected with as an event}."""
    return {
        None: "malformed_json",
        b"": "malformed_json",
        b"\xff" + bytes(range(40)): "malformed_json",
        b"[]": "not_an_object",
        b"{}": "missing_type",
        b"null": "not_an_object",
        b"12345678901": "not_an_object",
        b"[" * 400 + b"]" * 400: "invalid_field",
        msgspec.msgpack.encode([7, {1: "x"}]): "malformed_json",
        msgspec.msgpack.encode({"a": [1.5, None]}): "malformed_json",
        b"\0" * HUGE_BYTES: "too_large",
    }


async def strange_records(scene: Scene, topic: str) -> list[Strange]:
    """Return records for a topic; some under keys that ours have."""
    rng = scene.rng
    parts = await scene.kafka.partitions(topic)
    known = [(r.partition, r.key) for r in await scene.kafka.read(topic) if r.key]
    found = []
    for value in values():
        first = rng.choice(known)[1][:1] if known else b""
        key = rng.choice([None, first + rng.randbytes(8), b"\xff"])
        found.append(Strange(rng.choice(parts), key, value))
        if known and value is not None:  # under a key of ours it deletes the row, whoever sends it
            found.append(Strange(*rng.choice(known), value))
    rng.shuffle(found)
    return found


async def write_strange(scene: Scene, ledger: Ledger) -> None:
    """Write into every topic of the copy; those in `events` are events that must be rejected."""
    ledger.faults.update(values())  # type: ignore[arg-type]
    topics = await scene.kafka.topics()
    own = [topic for topic in topics if topic.startswith(scene.settings.namespace)]
    assert len(own) >= TOPICS, own
    await asyncio.gather(*(write_into(scene, topic) for topic in own))


async def write_into(scene: Scene, topic: str) -> None:
    """Write into a topic, each record as a batch of its own."""
    headers: list[tuple[str, bytes | None]] = [("\u00e4", b"\xff\xfe"), ("none", None)]
    if topic != scene.names.events:
        headers.append(STRANGE)
    for strange in await strange_records(scene, topic):
        pair = strange.key, strange.value
        # A compacted topic takes none without a key.
        with suppress(*[KafkaError] * (strange.key is None)):
            await scene.kafka.send_as_it_is(topic, strange.partition, pair, headers)


async def passed(url: str) -> set[str]:
    """Return the ends of the topics of which a count worker has passed records."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    topics = re.findall(r'event_counter_records_unreadable_total{topic="([^"]+)"}', text)
    return {topic.rpartition("event-counter-count-")[2].rpartition(".")[2] for topic in topics}


async def test_strange_records_in_every_topic_stop_nothing(
    make_scene: MakeScene, tmp_path: Path, soaking: bool
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(COUNTERS, "utf-8")
    async with Receiver() as receiver:
        await receiver.open()
        scene = await make_scene(counters=str(file), webhook_url=receiver.url, **QUICK)
        for role in ("count", "store", "archive", "collect"):
            scene.crew.hire(role).join()
        await scene.crew.ready()
        async with scene.load(http=True, rate=100, most=1500) as load:
            for turn in range(6 if soaking else 2):
                await load.sent(100)
                await write_strange(scene, load.ledger)
                await load.sent(100)
                for member in scene.crew.members:
                    member.kill(wipe=turn % 2 == 1)
                await scene.crew.ready()
            found = await scene.compare_with(load)
        await found.everything()
        await found.caught_up()
        await scene.rebuilt()
        await found.counted()
        alerts = await scene.kafka.values(scene.names.alerts)
        await wait_until(lambda: {body for _, body in receiver.calls}, set(alerts))
    assert scene.tally.surprises == []
    assert await passed(scene.crew.urls[0]) >= PASSED, "each reader counts what it passes"
    backup = ["backup", str(tmp_path / "backup")]
    commands = [["replay"], backup, ["rebuild", "tables"]] if soaking else []
    for arguments in [*commands, ["audit"]]:
        output = tmp_path / f"{arguments[0]}.out"
        command = Command(scene.settings, scene.crew.urls, output, *arguments)
        code, said = await command.done()
        assert code == 0, (arguments, said)
    scene.tally.exact = True
