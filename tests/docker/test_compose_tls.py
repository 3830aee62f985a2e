"""The compose file with TLS, without Docker: its certificates and settings serve real servers."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis

from app.kafka.clients import KafkaClients
from app.settings import Settings
from app.stack.child import Child
from app.stack.ports import accepts, free_port
from tests.support.brokers import Broker
from tests.support.compose import filled
from tests.support.database import Database
from tests.support.secured import READY_S, SecuredPostgres

DOCKER = Path(__file__).parents[2] / "docker"
SECRET = "secret-52de91"
VARIABLE = re.compile(r"\$\{\w+:\?[^}]*\}")
MOUNT = "./certs/"


def services(name: str) -> dict[str, Any]:
    """Return the services of a compose file; every secret in it is the same."""
    text = VARIABLE.sub(SECRET, (DOCKER / name).read_text("utf-8"))
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def merged(service: str, name: str) -> dict[str, Any]:
    """Return a map of a service, as Docker joins those of both files."""
    both = (services(file)[service].get(name, {}) for file in ("compose.yaml", "compose.tls.yaml"))
    return {key: value for one in both for key, value in one.items()}


def workers() -> list[str]:
    """Return the services that are ours."""
    return [name for name, unit in services("compose.yaml").items() if "build" in unit]


def mounted(service: str, folder: Path) -> dict[str, str]:
    """Return {path in the container: the file on this machine}."""
    given = [one.split(":") for one in services("compose.tls.yaml")[service]["volumes"]]
    return {to: str(folder / source.removeprefix(MOUNT)) for source, to, _ in given}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the script makes."""
    folder = tmp_path_factory.mktemp("certificates") / "certs"
    command = [DOCKER / "certificates.sh", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def settings_of(worker: str, folder: Path, **changes: str) -> Settings:
    """Return the settings of a worker, with the authority where the script put it."""
    given = filled(merged(worker, "environment"))
    (inside,) = mounted(worker, folder)
    here = {k: v.replace(inside, mounted(worker, folder)[inside]) for k, v in given.items()}
    return Settings.from_env({**here, **changes})


def test_every_worker_is_let_in_the_same_way(certificates: Path) -> None:
    assert set(services("compose.tls.yaml")) == set(services("compose.yaml"))
    for worker in workers():
        settings = settings_of(worker, certificates)
        assert settings.kafka_security == "SASL_SSL"
        assert "sslmode=verify-full" in settings.postgres.get_secret_value()
        assert settings.redis.get_secret_value().startswith("rediss://")


def test_every_file_that_is_mounted_is_made_and_no_key_is_to_be_seen(certificates: Path) -> None:
    files = {
        f for name in services("compose.tls.yaml") for f in mounted(name, certificates).values()
    }
    assert [file for file in files if not Path(file).exists()] == []
    assert certificates.stat().st_mode & 0o077 == 0, "others look into the folder"
    assert (certificates / "ca.key").stat().st_mode & 0o077 == 0
    for ignored in (".gitignore", ".dockerignore"):
        assert "docker/certs" in (DOCKER.parent / ignored).read_text("utf-8")


def properties(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """Return the properties that the image of Kafka makes of its environment."""
    files = mounted("kafka", folder)
    given = {k.removeprefix("KAFKA_"): str(v) for k, v in environment.items()}
    secrets = "/etc/kafka/secrets/"
    store = files[secrets + given.pop("SSL_KEYSTORE_FILENAME")]
    words = {
        name: Path(files[secrets + given.pop(f"SSL_{name}_CREDENTIALS")]).read_text().strip()
        for name in ("KEYSTORE", "KEY")
    }
    given |= {f"SSL_{name}_PASSWORD": word for name, word in words.items()}
    given["SSL_KEYSTORE_LOCATION"] = store
    dashed = {k.replace("___", "-"): v for k, v in given.items()}
    return {
        k.lower().replace("__", "\0").replace("_", ".").replace("\0", "_"): v
        for k, v in dashed.items()
    }


@pytest.fixture
async def kafka(tmp_path: Path, certificates: Path) -> AsyncIterator[str]:
    """Yield the address of a Kafka that is set as in the files; only its ports differ."""
    found = properties(merged("kafka", "environment"), certificates)
    secured = free_port()
    broker = Broker(tmp_path / "kafka", {})
    ports = {"9092": secured, "9094": broker.port, "9093": broker.controller_port}
    for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
        for inside, port in ports.items():
            found[name] = found[name].replace(f":{inside}", f":{port}")
    found["advertised.listeners"] = found["advertised.listeners"].replace(
        "//kafka:", "//localhost:"
    )
    del found["log.dirs"]
    broker.config |= found
    await broker.start()
    yield f"localhost:{secured}"
    await broker.stop()


async def test_kafka_lets_a_worker_in(kafka: str, certificates: Path) -> None:
    settings = settings_of("count-1", certificates, EVENT_COUNTER_KAFKA=kafka)
    await KafkaClients.of(settings).knock()


async def test_redis_lets_a_worker_in(tmp_path: Path, certificates: Path) -> None:
    if not (program := shutil.which("redis-server")):
        pytest.skip("needs Debian's redis-server; make servers")
    port, files = free_port(), mounted("redis", certificates)
    given = services("compose.tls.yaml")["redis"]["command"][1:]
    options = [files.get(one, one.replace("6379", str(port))) for one in given]
    child = Child("redis", tmp_path, tmp_path / "redis.log")
    child.spawn([program, *options, "--dir", tmp_path])
    try:
        await child.ready(lambda: accepts(port), READY_S)
        address = settings_of("store", certificates).redis.get_secret_value()
        address = address.replace("redis:6379", f"localhost:{port}")
        async with Redis.from_url(address) as redis:
            assert await redis.ping()
    finally:
        child.kill()


async def test_postgres_lets_a_worker_in(tmp_path: Path, certificates: Path) -> None:
    command = services("compose.tls.yaml")["postgres"]["command"]
    assert "ssl=on" in command
    shown = tmp_path / "shown.pem"
    shown.write_bytes(
        b"".join((certificates / f"postgres.{e}").read_bytes() for e in ("key", "pem"))
    )
    shown.chmod(0o600)
    authority: Any = SimpleNamespace(ca=certificates / "ca.pem", server=shown)
    postgres = SecuredPostgres(tmp_path / "postgres", authority)
    try:
        assert await Database(await postgres.start()).fetch("select 1") == [(1,)]
    finally:
        await postgres.part.stop()
