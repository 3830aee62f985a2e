"""The first minutes with a copy: what the ready block says, and who else may look."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from app.cli.run import commands_text, ready_text
from app.settings import Settings
from app.stack.data_dir import make_private, owned
from app.stack.ports import free_port, is_loopback
from tests.support.running_copy import RunningCopy, command_line, environment, running_copy
from web.pages import files

GUARDED = {"read_token": "let me see", "write_keys": "first=shop,second"}
NOBODY = 65534
STUB = "curl() { printf '%s\\n' \"$@\"; }; "


async def test_the_ready_block_can_be_followed(tmp_path: Path) -> None:
    given: dict[str, Any] = {"data_dir": tmp_path / "data", "http_port": free_port(), **GUARDED}
    given["data_dir"].mkdir(mode=0o755)  # of a version that left it open
    with running_copy(**given) as copy:
        await copy.ready()
        said = copy.said()
        await _the_pasted_commands_show_the_count(said)
        await _the_dashboard_is_there(said)
        facts = json.loads((given["data_dir"] / "run.json").read_text("utf-8"))
        _passwords_are_told_only_when_asked_for(copy, said, facts)
        _nobody_else_reads(given["data_dir"])
        await _count_workers_answer_collectors_only(facts)


async def _the_pasted_commands_show_the_count(said: str) -> None:
    commands = said[said.index("  curl") :].split("done\n", maxsplit=1)[0] + "done\n"
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", commands),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(GUARDED),
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    first, second = out.decode().splitlines()
    assert first == "OK", err
    assert json.loads(second)["events"][0] == {"type": "CLICK", "count": 1}


async def _the_dashboard_is_there(said: str) -> None:
    (line,) = [line for line in said.splitlines() if "Dashboard" in line]
    async with aiohttp.ClientSession() as http, http.get(line.split()[1]) as page:
        assert page.status == 200
        assert "text/html" in page.headers["Content-Type"]


def _passwords_are_told_only_when_asked_for(
    copy: RunningCopy, said: str, facts: dict[str, Any]
) -> None:
    secrets = [facts[name].split(":")[2].split("@")[0] for name in ("postgres", "redis")]
    secrets.append(facts["worker_secret"])
    assert all(len(secret) == 32 for secret in secrets)
    shown = command_line("status", **copy.settings)
    for secret in secrets:
        assert secret not in said
        assert secret not in shown.stdout + shown.stderr
    asked = command_line("status", "--secrets", **copy.settings).stdout
    assert all(secret in asked for secret in secrets[:2])


def _nobody_else_reads(folder: Path) -> None:
    """Fail where another account may read anything of the data directory."""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    open_files = [
        str(path)
        for path in folder.rglob("*")
        if not path.is_symlink() and path.exists() and path.stat().st_mode & 0o077
    ]
    assert open_files == []


async def _count_workers_answer_collectors_only(facts: dict[str, Any]) -> None:
    """A web page of a stranger, or another account, has no way to a count worker's figures."""
    url = facts["count_urls"]
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{url}/queries", data=b"\x90") as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "unauthorized")
        async with http.get(f"{url}/rows/events_by_url?partition=0") as answer:
            assert answer.status == 401


def test_a_folder_of_others_is_left_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "theirs").touch()
    make_private(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    ours = tmp_path / "ours"
    ours.mkdir()
    ours.chmod(0o755)
    (ours / "lock").touch()
    (ours / "kafka").mkdir()
    with owned(ours):
        assert stat.S_IMODE(ours.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_an_empty_folder_of_another_owner_may_be_written_to() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        os.seteuid(NOBODY)
        try:
            make_private(folder)
            (folder / "ours").touch()
        finally:
            os.seteuid(0)


def test_the_default_token_is_for_this_machine_only(tmp_path: Path) -> None:
    done = command_line(
        "run", http_host="0.0.0.0", http_port=free_port(), data_dir=tmp_path / "data"
    )
    assert done.returncode == 1
    assert "EVENT_COUNTER_TOKEN=" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data/kafka").exists(), "nothing was started"


def test_what_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.0.2.1")))


def test_the_ready_block_says_how_to_call_the_commands(tmp_path: Path, monkeypatch: Any) -> None:
    folder = tmp_path / ".venv/bin"
    folder.mkdir(parents=True)
    for name in ("event-counter", "activate"):
        (folder / name).touch(0o755)
    monkeypatch.setenv("PATH", "/usr/bin")
    assert commands_text(tmp_path / ".venv", tmp_path).startswith("source .venv/bin/activate, ")
    assert commands_text(tmp_path / ".venv", tmp_path / "x").startswith(
        f"source {folder}/activate, "
    )
    (tmp_path / "Makefile").touch()
    assert "(or: make shell)" in commands_text(tmp_path / ".venv", tmp_path)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    assert commands_text(tmp_path / ".venv", tmp_path).startswith("event-counter --help")


def test_the_ready_block_says_how_to_add_missing_charts(monkeypatch: Any, tmp_path: Path) -> None:
    assert "without charts" not in ready_text(Settings(), 1.0)
    monkeypatch.setattr(files, "CHARTS", tmp_path)
    assert f"{sys.executable} -m web.pages.install" in ready_text(Settings(), 1.0)


@pytest.mark.parametrize(
    ("keys", "sent"),
    [("", []), ("a=shop,b=blog", ["a"]), ("a", ["a"]), ("a,b=blog", ["a"]), ("a=", ["a"])],
)
def test_the_click_of_the_ready_block_is_sent_with_a_write_key(keys: str, sent: list[str]) -> None:
    said = ready_text(Settings(write_keys=SecretStr(keys)), 1.0)
    (click,) = [line for line in said.splitlines() if "event_generate" in line]
    done = subprocess.run(
        ["sh", "-c", STUB + click],
        env=environment({"write_keys": keys}),
        capture_output=True,
        text=True,
        check=True,
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("Authorization")]
    assert told == [f"Authorization: Bearer {key}" for key in sent]


def test_make_shell_has_the_commands_on_its_path() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-o", ".venv/installed", "shell", "SHELL=/bin/sh"],
        input="command -v event-counter\n",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SHELL": "/bin/sh"},
    )
    assert done.stdout.strip().endswith("/.venv/bin/event-counter"), done
