"""What a person can mend is one line that says what to do."""

from __future__ import annotations

import errno
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.cli import worker
from app.errors import StartError
from app.stack import jars
from app.stack.data_dir import is_owned, owned
from app.stack.ports import LOOPBACK, check_port, free_port
from tests.support.running_copy import command_line


@pytest.fixture
def occupied_port() -> Iterator[int]:
    """Yield a port that somebody listens on."""
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def complaint(*arguments: str, **settings: Any) -> str:
    """Return the one line that the command ends with."""
    done = command_line(*arguments, **settings)
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_port_in_use_names_port_and_setting(occupied_port: int, tmp_path: Path) -> None:
    line = complaint("run", http_port=occupied_port, data_dir=tmp_path / "data")
    assert f"Port {occupied_port} " in line
    assert "EVENT_COUNTER_HTTP_PORT" in line


@pytest.mark.parametrize("role", ["count", "store", "collect"])
def test_a_worker_whose_port_is_in_use_says_so(role: str, occupied_port: int) -> None:
    line = complaint(
        "worker",
        "--role",
        role,
        kafka="127.0.0.1:1",
        worker_port=occupied_port,
        http_port=occupied_port,
    )
    assert f"Port {occupied_port} " in line


def test_the_data_directory_of_a_running_copy_is_not_touched(tmp_path: Path) -> None:
    with owned(tmp_path):
        line = complaint("run", http_port=free_port(), data_dir=tmp_path)
    assert f"{tmp_path} is in use by process " in line
    assert "EVENT_COUNTER_DATA_DIR" in line


@pytest.mark.parametrize(
    ("name", "value"), [("http_port", "eighty"), ("http_prot", "8000"), ("replication", "0")]
)
def test_a_bad_or_unknown_setting_is_named(name: str, value: str) -> None:
    assert f"EVENT_COUNTER_{name.upper()}" in complaint("run", **{name: value})


def test_a_worker_without_kafka_says_what_is_missing() -> None:
    assert "EVENT_COUNTER_KAFKA" in complaint("worker", "--role", "count")


def test_a_kafka_that_is_away_is_named(tmp_path: Path) -> None:
    given = {"kafka": "127.0.0.1:1", "postgres": "postgresql://127.0.0.1:1/x", "redis": "redis://x"}
    line = complaint("run", http_port=free_port(), data_dir=tmp_path / "data", **given)
    assert "127.0.0.1:1" in line
    assert "EVENT_COUNTER_KAFKA" in line


def test_status_without_a_running_copy_says_how_to_start_one(tmp_path: Path) -> None:
    assert "event-counter run" in complaint("status", data_dir=tmp_path)


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way", "utf-8")
    assert "EVENT_COUNTER_DATA_DIR" in complaint(
        "run", http_port=free_port(), data_dir=tmp_path / "data"
    )


def test_a_full_disk_is_noticed_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=12_000_000))
    expected = r"No space: 12 MB free .* EVENT_COUNTER_DATA_DIR"
    with pytest.raises(StartError, match=expected), owned(tmp_path):
        pytest.fail("nothing may start")


@pytest.mark.parametrize("role", ["count", "archive"])
def test_a_worker_on_a_full_disk_ends_before_it_joins_its_group(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try would stop all others for a rebalance."""

    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=12_000_000))
    for name, value in (("ROLE", ""), ("KAFKA", "127.0.0.1:1"), ("DATA_DIR", str(tmp_path))):
        monkeypatch.setenv(f"EVENT_COUNTER_{name}", value)
    monkeypatch.setenv("EVENT_COUNTER_WORKER_PORT", str(free_port()))
    with pytest.raises(StartError, match=r"No space: 12 MB free .* 100 MB needed"):
        worker.command.main(["--role", role], standalone_mode=False)


def test_a_disk_that_fills_up_during_the_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No space"), owned(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_first_start_without_a_network_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "MAVEN_CENTRAL", "http://127.0.0.1:1")
    with pytest.raises(StartError, match=r"needs a network.*EVENT_COUNTER_KAFKA") as caught:
        jars.kafka_jars(lambda _: None, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.rglob("*.*ar")) == []


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_of_this_machine_is_named(host: str) -> None:
    with pytest.raises(StartError, match=f"{host}.*; see EVENT_COUNTER_HTTP_HOST$"):
        check_port(free_port(), host, "EVENT_COUNTER_HTTP_PORT")


def test_a_host_that_nobody_knows_is_told_before_a_token_is_asked_for(tmp_path: Path) -> None:
    host = "no.such.host.invalid"
    line = complaint("run", http_host=host, http_port=free_port(), data_dir=tmp_path / "data")
    assert line.startswith(f"event-counter: EVENT_COUNTER_HTTP_HOST: {host!r}: ")
    assert "TOKEN" not in line


def test_a_kafka_that_nobody_knows_is_named_with_its_port(tmp_path: Path) -> None:
    line = complaint("topics", kafka="no.such.host.invalid", data_dir=tmp_path / "data")
    assert "Kafka is away: no.such.host.invalid:9092: " in line


def test_a_directory_is_free_again_once_its_owner_has_ended(tmp_path: Path) -> None:
    with owned(tmp_path):
        assert is_owned(tmp_path)
    assert not is_owned(tmp_path)
    with owned(tmp_path):
        pass
