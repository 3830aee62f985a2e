"""event-counter import --follow, a real process: rotated and killed, and every line once."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.import_ import command
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.kafka_faults import MortalKafka
from tests.support.running_copy import ROOT, environment
from tests.support.seeds import kill_seed
from tests.support.waiting import wait_until

LINE = '192.0.2.{} - - [17/May/2015:10:05:{:02} +0000] "GET /{} HTTP/1.1" 200 1 "-" "-"\n'
ROTATIONS = 40 if os.environ.get("SOAK") else 10

Follow = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def kafka_part(broker: MortalKafka) -> MortalKafka:
    """Return a Kafka of this module's own: one with the topics of a run takes long to come back."""
    return broker


@pytest.fixture
def follow(settings: Settings, topics: Names, tmp_path: Path) -> Iterator[Follow]:
    """Return a function that starts the command in tmp_path."""
    assert topics
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        given = {"kafka": settings.kafka, "namespace": settings.namespace}
        command = [sys.executable, "-m", "app.cli", "import", "--follow", *arguments]
        env = {**environment(given), "PYTHONPATH": str(ROOT)}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, env=env, cwd=tmp_path, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


class Server:
    """Writes a log as nginx does, each line with a url of its own, and rotates it."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path, self._rng = path, rng
        self.lines = 0
        self._log = path.open("ab", buffering=0)

    def serve(self, most: int = 300) -> None:
        """Write some lines."""
        for _ in range(self._rng.randrange(1, most)):
            self._log.write(LINE.format(self.lines % 7, self.lines % 60, self.lines).encode())
            self.lines += 1

    def rotate(self) -> None:
        """Move the older ones on, pack one, and begin anew, by a new file or in the same."""
        numbers = sorted((int(p.suffixes[1][1:]), p) for p in self.path.parent.glob("*.log.*"))
        for number, path in reversed(numbers):
            path.rename(str(path).replace(f".log.{number}", f".log.{number + 1}"))
        if (second := Path(f"{self.path}.2")).exists():
            with gzip.open(f"{second}.gz", "wb") as packed:
                packed.write(second.read_bytes())
            second.unlink()
        if self._rng.random() < 0.5:
            shutil.copyfile(self.path, f"{self.path}.1")
            os.truncate(self.path, 0)
            return
        self.path.rename(f"{self.path}.1")
        self.serve(20)
        self.path.touch()
        self.serve(20)  # into the old one, until the signal
        self._log.close()
        self._log = self.path.open("ab", buffering=0)

    def stop(self) -> None:
        """Close the log."""
        self._log.close()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Return what decides; a failure shows its seed."""
    seed = kill_seed()
    request.node.add_report_section("setup", "seed", f"KILL_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def server(tmp_path: Path, rng: random.Random) -> Iterator[Server]:
    """Yield what writes a log in tmp_path."""
    made = Server(tmp_path / "access.log", rng)
    yield made
    made.stop()


async def urls(kafka: KafkaClient, topics: Names) -> Counter[str]:
    """Return how often each url counts: a record with the message_id of an earlier one does not."""
    found = set()
    for record in await kafka.read(topics.events):
        event = json.loads(record.value)
        found.add((event["url"], event["message_id"], record.partition))
    return Counter(url for url, _, _ in found)


async def count(kafka: KafkaClient, topics: Names) -> int:
    """Return how many lines have come."""
    return len(await urls(kafka, topics))


def replaced(
    process: subprocess.Popen[bytes], server: Server, follow: Follow
) -> subprocess.Popen[bytes]:
    """Kill what follows; return another one, started after a rotation."""
    process.kill()
    process.communicate()
    server.serve()
    server.rotate()
    return follow("access.log")


@pytest.mark.kill
@pytest.mark.timeout(400)
async def test_every_line_comes_once_through_rotations_and_kills(
    follow: Follow,
    server: Server,
    rng: random.Random,
    kafka: KafkaClient,
    kafka_part: MortalKafka,
    topics: Names,
) -> None:
    server.serve()
    process = follow("access.log")
    # Before it has begun, it does not know that what is rotated away was ever its own.
    await wait_until(lambda: kafka.values(topics.places), bool, deadline_s=60)
    outage = rng.randrange(ROTATIONS)
    for rotation in range(ROTATIONS):
        asked = rng.randrange(server.lines)  # the kill comes anywhere before or behind it
        server.serve()
        if rng.random() < 0.7:
            await wait_until(lambda: count(kafka, topics), lambda found, at=asked: found > at)
        if rotation == outage:  # the same process goes on; one that only starts would end
            await wait_until(lambda: count(kafka, topics), server.lines, deadline_s=60)
            kafka_part.kill()
            server.serve()
            server.rotate()
            await kafka_part.start()
        elif rng.random() < 0.7:
            process = replaced(process, server, follow)
        else:
            server.rotate()
        server.serve()
    expected = Counter({f"/{number}": 1 for number in range(server.lines)})

    async def wrong() -> list[tuple[str, int]]:
        found = await urls(kafka, topics)
        return [*(expected - found).items(), *(found - expected).items()]

    await wait_until(wrong, [], deadline_s=60)
    assert process.poll() is None
    assert len({record.partition for record in await kafka.read(topics.events)}) > 1


async def test_it_ends_with_a_line_that_says_how_far_it_came_and_goes_on_there(
    follow: Follow, tmp_path: Path, kafka: KafkaClient, topics: Names
) -> None:
    log = tmp_path / "access.log"
    lines = [LINE.format(n, n, n) for n in range(5)]
    log.write_text("".join(lines) + "no log line\n" + lines[0][:-1])
    process = follow("access.log")
    await wait_until(lambda: urls(kafka, topics), lambda found: len(found) == 5)
    size = len("".join(lines)) + len("no log line\n")
    await wait_until(lambda: kafka.values(topics.places), lambda found: str(size) in str(found))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    said = f"access.log: read to byte {size}, line 6\nimported 5, rejected 1\n"
    assert (process.returncode, out.decode()) == (0, said), err
    assert b"access.log:6: malformed_line" in err

    process = follow("access.log")
    with log.open("a") as file:
        file.write("\n")
    await wait_until(lambda: kafka.ends(topics.events), lambda ends: sum(ends.values()) == 6)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == b"imported 1, rejected 0"


def test_what_cannot_be_followed_is_said(tmp_path: Path) -> None:
    packed = tmp_path / "a.log.gz"
    packed.touch()
    for arguments in (["-"], [str(packed)], ["--again", "a.log"], ["nowhere/a.log"]):
        answer = CliRunner().invoke(command, ["--follow", *arguments])
        assert answer.exit_code == 2
        assert "--follow" in answer.output.splitlines()[-1]
