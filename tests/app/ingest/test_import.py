"""event-counter import, as a person calls it."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from app.events.decoding import decode
from app.events.event import EVENT_MAX_BYTES
from app.events.packing import PackedRecord
from app.events.url_rules import UrlRules
from app.ingest.importer import Importer, read_lines
from app.names import Names
from app.settings import Settings
from app.stack.data_dir import owned, write_run_file
from tests.support.collector_topics import collector_topics
from tests.support.importing import GOOD, Import, complaints, log_of
from tests.support.kafka_client import KafkaClient
from tests.support.kafka_faults import MortalKafka
from tests.support.random_events import NOW_MS
from tests.support.running_copy import ROOT, environment
from tests.support.sized import event_of
from tests.support.waiting import wait_until

CUT = '192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 1 "-" "Moz'


async def events(kafka: KafkaClient, topics: Names) -> list[dict[str, Any]]:
    return [json.loads(value) for value in await kafka.values(topics.events)]


async def test_a_log_is_imported_and_bad_lines_are_named(
    import_files: Import, tmp_path: Path, kafka: KafkaClient, topics: Names
) -> None:
    (tmp_path / "a.log").write_bytes(log_of(2) + b"\n" + CUT.encode() + b"\r\n" + log_of(1)[:-1])
    done = import_files("a.log")
    assert (done.returncode, done.stdout) == (0, b"imported 3, rejected 1\n")
    (said,) = complaints(done)
    assert said.startswith("a.log:4: malformed_line: ")
    found = await events(kafka, topics)
    assert Counter(event["url"] for event in found) == {"/0": 2, "/1": 1}
    for event in found:
        assert event["type"] == "VIEW"
        assert event["timestamp"].startswith("2015-05-17T10:05:0")
    assert {event["ip"] for event in found} == {"192.0.2.0", "192.0.2.1"}
    assert len({event["uuid"] for event in found}) == 3


async def test_a_line_keeps_its_uuid_packed_or_not(
    import_files: Import, tmp_path: Path, kafka: KafkaClient, topics: Names
) -> None:
    (tmp_path / "a.log").write_bytes(log_of(50))
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(log_of(50)))
    assert import_files("a.log", "a.log.gz").stdout == b"imported 100, rejected 0\n"
    uuids = Counter(event["uuid"] for event in await events(kafka, topics))
    assert set(uuids.values()) == {2}


async def test_a_line_keeps_its_message_id_wherever_the_log_lies(
    import_files: Import, tmp_path: Path, kafka: KafkaClient, topics: Names
) -> None:
    (tmp_path / "a.log").write_bytes(log_of(50))
    (tmp_path / "b.log.1").write_bytes(log_of(50).replace(b"\n", b"\r\n"))
    (tmp_path / "c.log.2.gz").write_bytes(gzip.compress(log_of(40)))
    (tmp_path / "other.log").write_bytes(log_of(51).partition(b"\n")[2])
    assert import_files("a.log", "b.log.1", "c.log.2.gz").stdout == b"imported 140, rejected 0\n"
    ids = Counter(event["message_id"] for event in await events(kafka, topics))
    assert Counter(ids.values()) == {3: 40, 2: 10}
    assert import_files("other.log").stdout == b"imported 50, rejected 0\n"
    assert import_files("--log-name", "www2", "a.log").stdout == b"imported 50, rejected 0\n"
    assert import_files("--again", "a.log").stdout == b"imported 50, rejected 0\n"
    ids = Counter(event["message_id"] for event in await events(kafka, topics))
    assert Counter(ids.values()) == {3: 40, 2: 10, 1: 150}


async def test_a_line_goes_to_the_same_partition_each_time(
    import_files: Import, tmp_path: Path, kafka: KafkaClient, topics: Names
) -> None:
    nobody = GOOD.replace("192.0.2.{}", "-").format(5, "a").encode()
    (tmp_path / "a.log").write_bytes(log_of(50) + b"\n".join([nobody] * 20) + b"\n")
    for _ in range(2):
        assert import_files("a.log").stdout == b"imported 70, rejected 0\n"
    places = {
        (json.loads(record.value)["message_id"], record.partition)
        for record in await kafka.read(topics.events)
    }
    assert len(places) == 70
    assert len({partition for _, partition in places}) > 1


async def test_a_message_id_of_an_event_stays_but_for_again(
    import_files: Import, kafka: KafkaClient, topics: Names
) -> None:
    lines = b'{"type":"A","message_id":"mine"}\n{"type":"B"}\n'
    for options in ((), ("--again",)):
        import_files("--format", "ndjson", *options, "-", stdin=lines)
    first: list[str] = []
    second: list[str] = []
    for event in await events(kafka, topics):
        (first if event["type"] == "A" else second).append(event["message_id"])
    assert first.count("mine") == 1
    assert len({*first, *second}) == 4


async def test_a_large_file_goes_in_chunks_and_arrives_whole(
    import_files: Import, kafka: KafkaClient, topics: Names
) -> None:
    assert import_files("-", stdin=log_of(20_001)).stdout == b"imported 20001, rejected 0\n"
    found = await events(kafka, topics)
    assert Counter(event["url"] for event in found)["/0"] == 2001
    assert len({event["uuid"] for event in found}) == 20_001


async def test_ndjson_may_have_any_shape(
    import_files: Import, kafka: KafkaClient, topics: Names
) -> None:
    lines = [
        b'{"eventName":"productview","date":"2020-03-25T19:05:49UTC"}',
        b'{"type":"A","uuid":"mine"}',
        b"",
        b'{"url":"/a"}',
        b'{"type":"A","url":"' + b"x" * 40_000 + b'"}',
        b'{"Type":"AdClick"}',
    ]
    done = import_files("--format", "ndjson", "-", stdin=b"\n".join(lines))
    assert (done.returncode, done.stdout) == (0, b"imported 3, rejected 2\n")
    codes = [line.split(": ")[:2] for line in complaints(done)]
    assert codes == [["-:4", "missing_type"], ["-:5", "too_large"]]
    found = await events(kafka, topics)
    assert {event["type"] for event in found} == {"productview", "A", "AdClick"}
    assert "mine" in {event["uuid"] for event in found}


async def test_the_largest_line_is_imported(
    import_files: Import, kafka: KafkaClient, topics: Names
) -> None:
    lines = [event_of(EVENT_MAX_BYTES + beside, message_id="mine") for beside in (-1, 0, 1)]
    done = import_files("--format", "ndjson", "-", stdin=b"\n".join(lines))
    assert done.stdout == b"imported 2, rejected 1\n"
    assert [line.split(": ")[:2] for line in complaints(done)] == [["-:3", "too_large"]]
    values = await kafka.values(topics.events)
    assert [decode(value, NOW_MS).message_id for value in values] == ["mine"] * 2


def test_what_cannot_be_read_is_one_line(import_files: Import, tmp_path: Path) -> None:
    packed = gzip.compress(log_of(5000), mtime=0)
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "other.json").write_bytes(b'{"type":"A"}\n')
    (tmp_path / "empty.log").touch()
    cut = import_files("cut.gz")
    assert cut.returncode == 1
    assert cut.stdout.startswith(b"imported ")
    assert b"cut.gz cannot be read" in cut.stderr.splitlines()[-1]
    other = import_files("other.json")
    assert (other.returncode, other.stdout) == (1, b"imported 0, rejected 1\n")
    assert b"--format" in other.stderr.splitlines()[-1]
    empty = import_files("empty.log")
    assert (empty.returncode, empty.stdout) == (0, b"imported 0, rejected 0\n")
    assert complaints(empty) == []
    missing = import_files("missing.log")
    assert missing.returncode == 2
    assert b"'missing.log' does not exist" in missing.stderr.splitlines()[-1]


def test_the_kafka_of_a_running_copy_is_found(
    import_files: Import, tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "a.log").write_bytes(log_of(3))
    nothing = import_files("a.log", kafka="", data_dir=tmp_path / "data")
    assert nothing.returncode == 1
    assert b"event-counter run" in nothing.stderr
    assert len(nothing.stderr.splitlines()) == 1
    with owned(tmp_path / "data"):
        facts = {"kafka": settings.kafka, "namespace": settings.namespace}
        write_run_file(tmp_path / "data", facts)
        done = import_files("a.log", kafka="", namespace="", data_dir=tmp_path / "data")
    assert (done.returncode, done.stdout) == (0, b"imported 3, rejected 0\n")


def test_kafka_away_is_one_line(import_files: Import, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(log_of(3))
    done = import_files("a.log", kafka="127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout == b""
    (said,) = complaints(done)
    assert said.startswith("event-counter: Kafka at 127.0.0.1:1: ")


async def test_an_import_survives_the_death_of_its_kafka(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(log_of(120_000))
    broker = MortalKafka(tmp_path)
    await broker.start()
    settings = Settings(kafka=broker.address, namespace="t.")
    await collector_topics(settings)
    importing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "import", tmp_path / "a.log"),
        env=environment({"kafka": settings.kafka, "namespace": settings.namespace}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with KafkaClient(broker.address) as kafka:
        await wait_until(lambda: kafka.ends("t.events"), lambda ends: sum(ends.values()) > 0)
    broker.kill()
    await broker.start()
    out, err = await asyncio.wait_for(importing.communicate(), 60)
    assert out == b"imported 120000, rejected 0\n", err
    async with KafkaClient(broker.address) as kafka:
        assert sum((await kafka.ends("t.events")).values()) == 120_000
    await broker.stop()


def test_the_urls_of_a_log_are_cleaned_by_the_rules() -> None:
    sent: list[PackedRecord] = []

    def send(records: list[PackedRecord]) -> Future[None]:
        sent.extend(records)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    importer = Importer(send, decode, print, UrlRules(slash="drop"))
    importer.read("a.ndjson", iter([b'{"type":"A","url":"/a/"}', b'{"type":"A","url":"/b"}']))
    importer.finish()
    found = [json.loads(value) for _, value, _ in sent]
    assert [event["url"] for event in found] == ["/a", "/b"]
    assert [event.get("properties") for event in found] == [{"url_sent": "/a/"}, None]


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, name: str) -> None:
    mark, text = b"\xef\xbb\xbf", b'{"type":"A"}\n{"type":"\xef\xbb\xbfB"}\n'
    path = tmp_path / name
    path.write_bytes(gzip.compress(mark + text) if path.suffix == ".gz" else mark + text)
    assert list(read_lines(path, lambda _: None)) == text.splitlines()
