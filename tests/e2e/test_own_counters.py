"""Counters of a counters.toml: from the restart on, refused when changed, kept until dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp

from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.ports import free_port
from app.stack.workers import WorkerProcess
from tests.conftest import StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import command_line
from tests.support.waiting import wait_until

REVENUE = """[[counter]]
name = "revenue"
key = "properties.plan"
measure = "sum:value"
window = "1d"
"""
ORDERS = """[[counter]]
name = "orders"
window = "all"
"""


async def ask(worker: WorkerProcess, path: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(f"{worker.url}{path}") as answer:
        return await answer.json()


async def total(worker: WorkerProcess, question: str) -> Any:
    return (await ask(worker, f"/counts/{question}"))["total"]


async def start_again(worker: WorkerProcess) -> None:
    """Start a worker once it has ended by itself."""
    await wait_until(worker.child.alive, expected=False, deadline_s=60)
    worker.start()
    await worker.ready()


def refuse_another_window(other: Path, port: int, given: dict[str, object]) -> None:
    other.write_text(REVENUE.replace("1d", "1h"), "utf-8")
    for command in (["worker", "--role", "count"], ["counters", "check", str(other)]):
        refused = command_line(*command, counters=other, worker_port=port, **given)
        assert refused.returncode == 1
        assert "line 5: counter 'revenue': window differs from 86400" in refused.stderr


def tell_what_begins(other: Path, given: dict[str, object]) -> None:
    other.write_text(ORDERS, "utf-8")
    said = command_line("counters", "check", str(other), **given).stdout
    assert "orders: begins with the next start" in said
    assert "revenue: is not in the file" in said


def refuse_other_types(port: int, given: dict[str, object]) -> None:
    refused = command_line("worker", "--role", "count", most_types=5, worker_port=port, **given)
    assert refused.returncode == 1
    assert "EVENT_COUNTER_MOST_TYPES was 10000 at the first start" in refused.stderr


def refuse_to_drop_what_is_declared(file: Path, given: dict[str, object]) -> None:
    again = command_line("counters", "drop", "orders", "--yes", counters=file, **given)
    assert again.returncode == 1
    assert "would start again" in again.stderr


async def test_the_life_of_a_counter(
    settings: Settings, kafka: KafkaClient, start_worker: StartWorker, tmp_path: Path
) -> None:
    file, other = tmp_path / "counters.toml", tmp_path / "other.toml"
    file.write_text(REVENUE, "utf-8")
    settings = settings.model_copy(update={"counters": str(file)})
    await ensure_topics(settings)
    given: dict[str, object] = {
        "kafka": settings.kafka,
        "namespace": settings.namespace,
        "data_dir": tmp_path,
    }
    topic = Names(settings.namespace).events
    sale = json.dumps({"type": "order", "value": 0.1, "properties": {"plan": "pro"}}).encode()
    worker = await start_worker(settings, "count", "count-1")
    await kafka.send(topic, [sale] * 3)

    await wait_until(lambda: total(worker, "revenue?key=pro"), {"": 0.3}, deadline_s=60)
    declared = (await ask(worker, "/counters"))[-1]
    assert (declared["name"], declared["measure"]) == ("revenue", "sum:value")

    refuse_another_window(other, free_port(), given)
    refuse_other_types(free_port(), given)
    tell_what_begins(other, given)
    file.write_text(ORDERS, "utf-8")
    await worker.stop()
    worker.start()
    await worker.ready()
    await kafka.send(topic, [sale] * 2)
    await wait_until(lambda: total(worker, "revenue?key=pro"), {"": 0.5}, deadline_s=60)

    await wait_until(lambda: total(worker, "orders"), {"": 2}, deadline_s=60)
    dropped = command_line("counters", "drop", "revenue", "--yes", counters=file, **given)
    assert dropped.returncode == 0, dropped.stderr
    await start_again(worker)
    assert (await ask(worker, "/counts/revenue?key=pro"))["code"] == "not_found"
    assert await total(worker, "orders") == {"": 2}
    refuse_to_drop_what_is_declared(file, given)
