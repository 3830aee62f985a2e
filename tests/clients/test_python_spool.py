"""The spool of event_counter_client: on disk until it is answered."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from app.names import Names
from app.stack.ports import free_port
from event_counter_client import Rejected, SpoolError, spool
from tests.clients.conftest import MakeClient
from tests.clients.test_python_client import stored
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import SOON_S


def segments(folder: Path) -> list[Path]:
    return list(folder.glob("*.events"))


@pytest.mark.parametrize("away", [True, False])
async def test_what_send_has_taken_survives_a_kill(
    http: Http,
    kafka: KafkaClient,
    topics: Names,
    make_client: MakeClient,
    write_script: Any,
    tmp_path: Path,
    *,
    away: bool,
) -> None:
    url = f"http://127.0.0.1:{free_port()}" if away else http.url
    command = write_script(
        "import itertools, os\n"
        "from event_counter_client import Client\n"
        f"client = Client({url!r}, spool={str(tmp_path / 'spool')!r}, linger_s=0)\n"
        "for number in itertools.count():\n"
        "    assert client.send('CLICK', f'/{number}')\n"
        "    os.write(1, b'.')\n"
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    said = await process.stdout.readexactly(3000)
    process.send_signal(signal.SIGKILL)
    said += await process.stdout.read()
    await process.wait()
    client = make_client(http.url, spool=tmp_path / "spool")
    assert await client.aflush(SOON_S)
    events = await stored(kafka, topics)
    urls = {event["url"] for event in events}
    assert {f"/{number}" for number in range(len(said))} <= urls
    assert len(urls) <= len(said) + 1
    assert len({(event["url"], event["message_id"]) for event in events}) == len(urls)


async def test_segments_are_made_and_go_again(
    http: Http,
    kafka: KafkaClient,
    topics: Names,
    make_client: MakeClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 5000)
    monkeypatch.setattr(spool, "BLOCK", 1000)
    away = make_client(f"http://127.0.0.1:{free_port()}", spool=tmp_path)
    for number in range(1500):
        assert away.send("CLICK", f"/{number}")
    await away.aclose(0)
    assert len(segments(tmp_path)) > 10
    assert (away.stats().lost, away.stats().waiting) == (0, 1500)
    client = make_client(http.url, spool=tmp_path)
    assert client.stats().waiting == 1500
    assert client.send("CLICK", "/last")
    assert await client.aflush(SOON_S)
    urls = sorted(event["url"] for event in await stored(kafka, topics))
    assert urls == sorted([*(f"/{number}" for number in range(1500)), "/last"])
    assert len(segments(tmp_path)) == 1
    await client.aclose()
    assert make_client(http.url, spool=tmp_path).stats().waiting == 0


async def test_a_damaged_spool_loses_nothing_else(
    http: Http, kafka: KafkaClient, topics: Names, make_client: MakeClient, tmp_path: Path
) -> None:
    away = make_client(f"http://127.0.0.1:{free_port()}", spool=tmp_path)
    for number in range(3):
        away.send("CLICK", f"/{number}")
    await away.aclose(0)
    (file,) = segments(tmp_path)
    head, first, second, third, _ = file.read_bytes().split(b"\n")
    lines = [b"nonsense", first, b"\0" * len(second), third, b'{"type":"CLICK","url":"/cu']
    file.write_bytes(b"\n".join([head, *lines]))
    refused: list[Rejected] = []
    client = make_client(http.url, spool=tmp_path, on_error=refused.append)
    client.send("CLICK", "/new")
    assert await client.aflush(SOON_S)
    urls = sorted(event["url"] for event in await stored(kafka, topics))
    assert urls == ["/0", "/2", "/new"]
    assert [each.code for each in refused] == ["malformed_json"] * 2


@pytest.mark.parametrize("head", [b"", b"x" * 21, b"9" * 20 + b"\n"])
def test_a_position_that_cannot_be_read_is_the_beginning(tmp_path: Path, head: bytes) -> None:
    file = tmp_path / "000000000001.events"
    file.write_bytes(head + b'{"type":"A"}\n' if head else b"")
    kept = spool.Spool(tmp_path)
    assert kept.first(10) == ([b'{"type":"A"}'] if head else [])
    kept.close()


def test_a_spool_belongs_to_one_client(make_client: MakeClient, tmp_path: Path) -> None:
    first = make_client("http://127.0.0.1:9", spool=tmp_path)
    with pytest.raises(SpoolError, match="give each process its own"):
        make_client("http://127.0.0.1:9", spool=tmp_path)
    first.close(0)
    make_client("http://127.0.0.1:9", spool=tmp_path)


def test_a_spool_that_cannot_be_made_is_named(make_client: MakeClient, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SpoolError, match="cannot be used as a spool"):
        make_client("http://127.0.0.1:9", spool=file)


def test_an_event_that_does_not_fit_the_disk_is_told(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused: list[Rejected] = []
    client = make_client("http://127.0.0.1:9", spool=tmp_path, on_error=refused.append)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", lambda _fd, text, _at: len(text) // 2)  # a full disk
        assert not client.send("CLICK", "/a")
    assert client.send("CLICK", "/b")
    assert [(each.code, each.event["url"]) for each in refused] == [("spool_failed", "/a")]
    assert (client.stats().waiting, client.stats().rejected) == (1, 1)


async def test_a_forked_child_leaves_the_spool_alone(write_script: Any, tmp_path: Path) -> None:
    command = write_script(
        "import os\n"
        "from event_counter_client import Client\n"
        f"client = Client('http://127.0.0.1:9', spool={str(tmp_path / 'spool')!r})\n"
        "assert client.send('CLICK')\n"
        "child = os.fork()\n"
        "if child:\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "    assert client.send('CLICK') and client.stats().waiting == 2\n"
        "else:\n"
        "    try: client.send('CLICK')\n"
        "    except RuntimeError: os._exit(0)\n"
        "    os._exit(1)\n"
        "client.close(0)\n"
    )
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0
