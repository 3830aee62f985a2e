"""The jars of Apache Kafka: downloaded once for all data directories, then used offline."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import requests
import truststore
from jgo.maven import Artifact, MavenContext
from jgo.parse import Endpoint

from app.errors import StartError

KAFKA_VERSION = "4.1.1"
MAVEN_CENTRAL = "https://repo.maven.apache.org/maven2"
KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# Kafka leaves the choice of a logger open; without this jar it logs nothing. Same version as
# the log4j that Kafka brings.
LOGGER = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3")
DOWNLOADS_AT_ONCE = 8
ATTEMPTS = 3


def cache_dir() -> Path:
    """Return the folder of downloads, ~/.cache/event-counter unless XDG_CACHE_HOME is set."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "event-counter"


def kafka_jars(say: Callable[[str], None], cache: Path | None = None) -> list[Path]:
    """Return all jars in class path order; the first call downloads 44 MB.

    say: told about the progress; what it raises ends the download. Raises StartError without a
    network.
    """
    folder = (cache or cache_dir()) / f"kafka-{KAFKA_VERSION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=folder.parent) as scratch:
            _download_all(Path(scratch), say)
            try:  # at once or not at all: a killed download leaves nothing half done
                (Path(scratch) / "jars").rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was faster
                    raise
    return sorted(folder.glob("*.jar"))


def _download_all(scratch: Path, say: Callable[[str], None]) -> None:
    """Fill scratch/jars."""
    (scratch / "jars").mkdir()
    # Trust whom the machine trusts: requests alone knows no certificate of a company's own.
    truststore.inject_into_ssl()
    try:
        say("asking Maven Central what Apache Kafka needs")
        artifacts = _artifacts(scratch / "repository")
        size = 0
        pool = ThreadPoolExecutor(DOWNLOADS_AT_ONCE)
        try:
            running = as_completed([pool.submit(_download, item) for item in artifacts])
            for done, future in enumerate(running, 1):
                jar = future.result()
                size += jar.stat().st_size
                shutil.move(jar, scratch / "jars" / jar.name)
                say(f"downloaded {done} of {len(artifacts)} jars, {size / 1e6:.0f} MB")
        finally:
            pool.shutdown(cancel_futures=True)
    except (requests.RequestException, RuntimeError) as exc:
        reason = f"{exc}".splitlines()[0][:200]
        raise StartError(
            f"Cannot download Apache Kafka from {MAVEN_CENTRAL} ({reason}). The first start "
            "needs a network; or set EVENT_COUNTER_KAFKA to the host:port of a running Kafka"
        ) from exc


def _artifacts(repository: Path) -> list[Artifact]:
    """Return every jar that Kafka needs at run time, its own included."""
    context = MavenContext(
        repo_cache=repository, local_repos=[], remote_repos={"central": MAVEN_CENTRAL}
    )
    kafka = replace(Endpoint.parse(KAFKA).coordinates[0], scope="compile")
    inputs, needed = context.resolver.resolve([context.create_dependency(kafka)])
    needed = [item for item in needed if item.scope in ("compile", "runtime")]
    group, name, version = LOGGER  # not resolved along: its parent would choose other versions
    logger = context.project(group, name).at_version(version).artifact()
    return [*(item.artifact for item in (*inputs, *needed)), logger]


def _download(artifact: Artifact) -> Path:
    """Return the file; its SHA-1 is checked. A failed attempt is repeated."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return Path(artifact.resolve())
        except (requests.RequestException, RuntimeError):
            if attempt == ATTEMPTS:
                raise
            half = artifact.cached_path
            if half is not None:
                half.unlink(missing_ok=True)
    raise AssertionError
