"""A collector for clients, and clients that are closed at the end of a test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from event_counter_client import Client
from tests.docs.pages import ROOT
from tests.web.conftest import http, serve, serve_ready, topics

__all__ = ["http", "serve", "serve_ready", "topics"]

PACKAGE = ROOT / "clients" / "python"


class MakeClient(Protocol):
    """See the fixture make_client."""

    def __call__(self, url: str, **options: Any) -> Client:
        """Make one."""
        ...


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """Return a factory of clients that post as soon as they can."""
    made: list[Client] = []

    def make(url: str, **options: Any) -> Client:
        made.append(Client(url, **{"linger_s": 0.01, **options}))
        return made[-1]

    yield make
    for client in made:
        client.close(0)


@pytest.fixture
def write_script(tmp_path: Path) -> Any:
    """Return a function that returns the command of a program that uses the client."""

    def write(text: str) -> list[str]:
        file = tmp_path / "script.py"
        file.write_text(f"import sys\nsys.path.insert(0, {str(PACKAGE)!r})\n{text}", "utf-8")
        return [sys.executable, str(file)]

    return write
