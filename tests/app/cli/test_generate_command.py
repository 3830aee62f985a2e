"""`event-counter generate` against a real collector and a real Kafka."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from typing import Any

import pytest
from pydantic import SecretStr

from app.events.decoding import decode
from app.names import Names
from app.settings import Settings
from app.stack.ports import free_port
from tests.conftest import StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import ROOT, command_line, environment

SUMMARY = re.compile(r"sent (\d+), acknowledged (\d+), rejected (\d+), failed (\d+) in ")


def settings_of(settings: Settings) -> dict[str, Any]:
    """Return the settings as names without EVENT_COUNTER_."""
    return {k.removeprefix("EVENT_COUNTER_").lower(): v for k, v in settings.to_env().items()}


def numbers(text: str) -> list[int]:
    found = SUMMARY.match(text)
    assert found, text
    return [int(number) for number in found.groups()]


@pytest.mark.parametrize("way", ["http", "kafka"])
async def test_what_it_says_was_acknowledged_is_in_the_topic(
    way: str, kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    if way == "http":
        await start_worker(settings, "collect")
    asked = ["--rate", "400", "--seconds", "1", "--shape", "app", "--bots", "1", "--to", way]
    done = await asyncio.to_thread(command_line, "generate", *asked, **settings_of(settings))
    assert done.returncode == 0, done.stderr
    sent, *others = numbers(done.stdout)
    assert 50 < sent <= 400, "what a busy machine is a second late with is left out"
    assert others == [sent, 0, 0]
    records = await kafka.read(topics.events)
    assert len(records) == sent
    assert all(decode(record.value, record.timestamp).type for record in records)
    assert len({record.key for record in records}) > sent / 8


async def test_a_write_key_is_sent_and_its_lack_is_told(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    keys = settings.model_copy(update={"write_keys": SecretStr("the-key=shop,other=blog")})
    await start_worker(keys, "collect")
    asked = ["--rate", "100", "--seconds", "0.5"]
    for given in (settings, settings.model_copy(update={"write_keys": SecretStr("wrong")})):
        done = await asyncio.to_thread(command_line, "generate", *asked, **settings_of(given))
        assert done.returncode == 1
        assert "Set EVENT_COUNTER_WRITE_KEYS as for the collector" in done.stderr
        assert "wrong" not in done.stderr
    done = await asyncio.to_thread(command_line, "generate", *asked, **settings_of(keys))
    sent, *others = numbers(done.stdout)
    assert 0 < sent <= 50
    assert others == [sent, 0, 0]
    records = await kafka.read(topics.events)
    assert [decode(r.value, r.timestamp).app_name for r in records] == ["shop"] * sent


async def test_ctrl_c_ends_it_with_its_summary(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
        [sys.executable, "-m", "app.cli", "generate", "--to", "kafka"],
        env=environment(settings_of(settings)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while sum((await kafka.ends(topics.events)).values()) < 200:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        text, errors = await asyncio.to_thread(process.communicate, timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    sent, acknowledged, rejected, failed = numbers(text)
    assert (sent, rejected, failed) == (acknowledged, 0, 0)
    assert sum((await kafka.ends(topics.events)).values()) == acknowledged


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seconds", "1"], "Nothing answers at http://127.0.0.1:"),
        (["--to", "kafka"], "Nothing runs in"),
        (["--rate", "0"], "Invalid value for '--rate'"),
        (["--shape", "x"], "Invalid value for '--shape'"),
    ],
)
def test_what_cannot_start_is_told(arguments: list[str], says: str, tmp_path: Any) -> None:
    given = {"data_dir": tmp_path, "http_port": free_port()}
    done = command_line("generate", *arguments, **given)
    assert done.returncode
    assert says in done.stderr
    assert "Traceback" not in done.stderr
