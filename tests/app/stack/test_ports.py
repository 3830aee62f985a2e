"""Ports stay the same over restarts, and give way where somebody else listens."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.stack import ports as range_of_ports
from app.stack.ports import LOOPBACK, Ports, accepts, free_port, is_free, wait_for_port
from tests.support.running_copy import ROOT


def test_a_port_is_remembered_until_somebody_else_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    port = Ports(file).take("kafka")
    assert Ports(file).take("kafka") == port
    with socket.create_server((LOOPBACK, port)):
        assert not is_free(port)
        other = Ports(file).take("kafka")
    assert other != port
    assert Ports(file).take("kafka") == other


def test_a_folder_that_moves_takes_its_ports_along_and_a_copy_has_its_own(tmp_path: Path) -> None:
    folder, moved, copy = (tmp_path / name for name in ("folder", "moved", "copy"))
    folder.mkdir()
    names = "kafka", "redis"
    known = [Ports(folder / "ports.json").take(name) for name in names]
    folder.rename(moved)
    assert [Ports(moved / "ports.json").take(name) for name in names] == known
    shutil.copytree(moved, copy)
    others = [Ports(copy / "ports.json").take(name) for name in names]
    assert not {*others} & {*known}
    assert [Ports(copy / "ports.json").take(name) for name in names] == others


def test_two_names_never_share_a_port(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    taken = {ports.take(f"worker-{number}") for number in range(30)}
    assert len(taken) == 30


def test_a_port_is_given_once_though_nobody_listens_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_of_ports, "LAST", range_of_ports.FIRST + 199)
    assert len({free_port() for _ in range(50)}) == 50


def test_a_test_draws_none_that_a_command_may_draw() -> None:
    program = "from app.stack.ports import FIRST; print(FIRST)"
    first = int(subprocess.check_output([sys.executable, "-c", program], cwd=ROOT))
    assert range_of_ports.FIRST < range_of_ports.LAST < first
    assert free_port() < first


def test_a_promised_port_is_avoided(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    port = Ports(file).take("count-1")
    assert Ports(file).take("count-1", avoid=port) != port


@pytest.mark.parametrize("damaged", [b"", b"{", b"\0\xff", b"[]", b'{"redis": null}'])
def test_a_damaged_file_is_replaced(damaged: bytes, tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    file.write_bytes(damaged)
    port = Ports(file).take("redis")
    assert Ports(file).take("redis") == port


async def test_a_port_accepts_once_somebody_listens() -> None:
    port = free_port()
    assert not await accepts(port)
    with socket.create_server((LOOPBACK, port)):
        assert await accepts(port)


async def test_a_port_that_a_killed_copy_lets_go_of_is_waited_for() -> None:
    port = free_port()
    dying = socket.create_server((LOOPBACK, port))
    asyncio.get_running_loop().call_later(0.3, dying.close)
    await wait_for_port(port, LOOPBACK, "EVENT_COUNTER_HTTP_PORT")
    assert is_free(port)
