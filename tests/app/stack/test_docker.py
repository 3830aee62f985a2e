"""docker/ without Docker: the compose file is YAML, and its roles and settings are real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml

from app.settings import PREFIX, Role, Settings
from tests.support.compose import filled

DOCKER = Path(__file__).parents[3] / "docker"


def services() -> dict[str, Any]:
    """Return the services of the compose file."""
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))["services"]
    return found


def workers() -> dict[str, Any]:
    """Return the services that are ours."""
    return {name: unit for name, unit in services().items() if "build" in unit}


def test_every_role_is_started() -> None:
    roles = {unit["command"][-1] for unit in workers().values()}
    assert roles == {role for role in get_args(Role) if role}


def test_every_setting_is_one() -> None:
    for unit in workers().values():
        names = [name for name in unit["environment"] if name.startswith(PREFIX)]
        assert names
        Settings.from_env(filled(unit["environment"]))


def test_every_host_in_a_setting_is_a_service() -> None:
    known = services()
    for unit in workers().values():
        settings = Settings.from_env(filled(unit["environment"]))
        hosts = [
            settings.kafka.split(":")[0],
            settings.postgres.get_secret_value().rpartition("@")[2].split(":")[0],
            settings.redis.get_secret_value().rpartition("@")[2].split(":")[0],
            *(url.split("/")[2].split(":")[0] for url in settings.count_urls.split(",")),
        ]
        assert [host for host in hosts if host not in known] == []


def test_no_password_is_the_same_for_everybody() -> None:
    text = (DOCKER / "compose.yaml").read_text("utf-8")
    assert ":-" not in text, "no variable has a default"
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "TOKEN", "WORKER_SECRET"):
        assert f"${{{name}:?" in text
    secrets = ("POSTGRES", "REDIS", "TOKEN", "WORKER_SECRET")
    for unit in workers().values():
        for name in secrets:
            assert ":?" in unit["environment"][f"{PREFIX}{name}"]


def test_the_image_installs_what_the_hashes_are_of() -> None:
    text = (DOCKER / "Dockerfile").read_text("utf-8")
    assert "--require-hashes --no-deps -r requirements/run.txt" in text


def test_the_image_holds_every_package() -> None:
    text = (DOCKER / "Dockerfile").read_text("utf-8")
    for package in ("app", "agents", "tables", "web", "sql"):
        assert f"COPY {package} {package}\n" in text
