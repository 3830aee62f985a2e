"""`status` says what it can, names what it cannot, and keeps passwords to itself."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.stack.data_dir import owned, write_run_file
from tests.support.running_copy import ROOT, command_line, environment

UNITS = [{"name": "count-1\x1b]0;owned\x07", "pid": 4711, "port": 12_345, "restarts": 2}]
AWAY = {
    "processes": UNITS,
    "kafka": "127.0.0.1:1",
    "postgres": "postgresql://postgres:geheim@127.0.0.1:1/event_counter",
    "redis": "redis://:geheim@127.0.0.1:1/0",
    "http": "http://127.0.0.1:2",
    "count_urls": "http://127.0.0.1:3",
    "namespace": "",
}


def status(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command beside a copy whose servers are all away."""
    with owned(folder):
        write_run_file(folder, AWAY)
        return command_line("status", *options, data_dir=folder)


def test_without_kafka_the_processes_are_shown_and_the_rest_is_unknown(tmp_path: Path) -> None:
    done = status(tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any("4711" in line and "12345" in line for line in lines)
    for name, why in {
        "lag": "127.0.0.1",
        "counted": "http://127.0.0.1:3",
        "stored": "Postgres",
    }.items():
        (line,) = [line for line in lines if line.startswith(name)]
        assert "unknown: " in line
        assert why in line


def test_without_kafka_programs_get_the_processes_and_null(tmp_path: Path) -> None:
    done = status(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["processes"] == UNITS
    assert [found[name] for name in ("lag", "counted", "stored")] == [None] * 3
    assert set(found["unknown"]) == {"lag", "counted", "stored"}
    assert found["postgres"] == AWAY["postgres"], "programs connect with it"


def test_passwords_are_shown_only_when_asked_for(tmp_path: Path) -> None:
    shown = status(tmp_path)
    assert "geheim" not in shown.stdout + shown.stderr
    assert "postgresql://postgres:***@127.0.0.1:1/event_counter" in shown.stdout
    assert str(AWAY["postgres"]) in status(tmp_path, "--secrets").stdout


def test_what_strangers_named_cannot_command_the_terminal(tmp_path: Path) -> None:
    done = status(tmp_path)
    assert "\x1b" not in done.stdout
    assert r"count-1\x1b]0;owned\x07" in done.stdout


async def test_not_even_json_shows_passwords_on_a_terminal(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    given: dict[str, Any] = {"data_dir": tmp_path}
    with owned(tmp_path):
        write_run_file(tmp_path, AWAY)
        process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
            [sys.executable, "-m", "app.cli", "status", "--json"],
            env=environment(given),
            cwd=ROOT,
            stdout=slave,
            stderr=subprocess.DEVNULL,
        )
        os.close(slave)
        text = await asyncio.to_thread(os.read, master, 100_000)
        assert await asyncio.to_thread(process.wait, 60) == 0
    os.close(master)
    assert json.loads(text)["postgres"] == "postgresql://postgres:***@127.0.0.1:1/event_counter"
