"""The health check of the image asks a real worker of any role."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.settings import PREFIX, Role, Settings
from app.stack.ports import free_port
from tests.conftest import StartWorker

PROGRAM = Path(__file__).parents[2] / "docker/healthcheck.py"


def is_healthy(**settings: object) -> bool:
    """Return what the health check says in a container with these settings."""
    given = {PREFIX + name.upper(): str(value) for name, value in settings.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    command = [sys.executable, str(PROGRAM)]
    return subprocess.run(command, env={**inherited, **given}, check=False).returncode == 0


@pytest.mark.parametrize("role", ["collect", "store"])
@pytest.mark.usefixtures("topics")
async def test_a_worker_is_healthy_until_it_ends(
    role: Role, settings: Settings, start_worker: StartWorker
) -> None:
    worker = await start_worker(settings, role)
    port, nobody = urlsplit(worker.url).port, free_port()
    given: dict[str, object] = {"http_port": nobody, "worker_port": nobody}
    given["http_port" if role == "collect" else "worker_port"] = port
    assert is_healthy(**given)
    worker.child.kill()
    assert not is_healthy(**given)
