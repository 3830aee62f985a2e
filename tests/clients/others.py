"""The clients of others, run as their users run them: unmodified, as programs of their own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections import defaultdict
from typing import Any

from app.names import Names
from tests.clients.install import HERE, SEGMENT
from tests.support.kafka_client import KafkaClient

NODE_MODULES = HERE / "node_modules"
PATIENCE_S = 120


async def run_python(version: str, script: str, *arguments: str) -> str:
    """Return what a program says that has segment-analytics-python in a version."""
    folder = SEGMENT[version]
    assert folder.is_dir(), "the clients are not installed: python -m tests.clients.install"
    return await _run((sys.executable, "-c", script, *arguments), PYTHONPATH=str(folder))


async def run_node(script: str, *arguments: str) -> str:
    """Return what a program says that has the packages of package.json."""
    node = shutil.which("node")
    assert node, "no node: install Node.js 18 or later"
    assert NODE_MODULES.is_dir(), "the clients are not installed: python -m tests.clients.install"
    return await _run((node, "--input-type=module", "-e", script, *arguments))


async def _run(command: tuple[str, ...], **variables: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=HERE,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, said.decode()
    return said.decode()


async def stored(kafka: KafkaClient, topics: Names) -> list[dict[str, Any]]:
    """Return all events, in the order of their message_ids."""
    return [json.loads(value) for value in await kafka.values(topics.events)]


async def stored_once(kafka: KafkaClient, topics: Names) -> tuple[list[dict[str, Any]], int]:
    """Return the first of each message_id by type, and how many others there are.

    An event that was sent again differs in nothing but when it was received.
    """
    events = await stored(kafka, topics)
    by_id = defaultdict(list)
    for event in events:
        event.pop("uuid"), event.pop("received_at")
        by_id[event["message_id"]].append(event)
    for same in by_id.values():
        assert all(event == same[0] for event in same)
    firsts = sorted((same[0] for same in by_id.values()), key=lambda event: str(event["type"]))
    return firsts, len(events) - len(firsts)
