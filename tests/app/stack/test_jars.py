"""Kafka's jars are what the list says, to the bit, whoever serves them and whatever lay there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.errors import StartError
from app.stack import jars
from app.stack.jars import KAFKA_VERSION, kafka_jars, pinned

ONE = next(jar for jar in pinned() if jar.name == "scala-logging_2.13")


class Repository(SimpleHTTPRequestHandler):
    """Serves the jars of this machine's cache at the paths of a Maven repository."""

    changed: frozenset[str] = frozenset()

    def do_GET(self) -> None:
        """Answer with the file; one that is changed has another last byte."""
        known = {f"/{jar.path}": jar.file for jar in pinned()}
        content = (jars.cache_dir() / f"kafka-{KAFKA_VERSION}" / known[self.path]).read_bytes()
        if known[self.path] in self.changed:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Repository]]:
    """Put a repository of our own in the place of Maven Central; yield what it serves by."""
    kafka_jars(print)  # the cache of this machine is whole
    kind = type("Own", (Repository,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        monkeypatch.setattr(jars, "MAVEN_CENTRAL", f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kind
        server.shutdown()


@pytest.mark.usefixtures("repository")
def test_all_are_downloaded_with_a_word_about_how_much_and_used_again(tmp_path: Path) -> None:
    said: list[str] = []
    found = kafka_jars(said.append, tmp_path)
    assert [path.name for path in found] == sorted(jar.file for jar in pinned())
    assert all(path.exists() for path in found)
    assert "46 jars, 44 MB" in said[0]
    assert said[-1].startswith(f"downloading Apache Kafka {KAFKA_VERSION}: 44 of 44 MB")
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in {path.name for path in found}
    again: list[str] = []
    assert kafka_jars(again.append, tmp_path) == found
    assert again == [], "nothing to do"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("content", [b"", b"x" * ONE.size], ids=["cut off", "another"])
def test_a_file_that_is_not_what_it_must_be_is_downloaded_again(
    content: bytes, tmp_path: Path
) -> None:
    file = next(path for path in kafka_jars(print, tmp_path) if path.name == ONE.file)
    right = file.read_bytes()
    file.write_bytes(content)
    kafka_jars(print, tmp_path)
    assert file.read_bytes() == right


def test_a_server_with_another_file_is_not_believed(
    repository: type[Repository], tmp_path: Path
) -> None:
    repository.changed = frozenset({ONE.file})
    with pytest.raises(StartError, match=r"SHA-256") as caught:
        kafka_jars(print, tmp_path)
    assert ONE.path in str(caught.value)
    assert list(tmp_path.rglob(ONE.file)) == []
    repository.changed = frozenset()
    assert ONE.file in {path.name for path in kafka_jars(print, tmp_path)}


@pytest.mark.usefixtures("repository")
def test_what_say_raises_ends_the_download(tmp_path: Path) -> None:
    def say(_: str) -> None:
        raise StartError("stopped")

    with pytest.raises(StartError, match="stopped"):
        kafka_jars(say, tmp_path)


def test_a_folder_that_no_class_path_can_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="XDG_CACHE_HOME"):
        kafka_jars(print, tmp_path / "a:b")
