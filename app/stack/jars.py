"""Jars, of Apache Kafka above all: downloaded once for all data directories, checked at each start.

Which ones these are, and their SHA-256, stands in kafka_jars.txt: nothing is resolved at run time,
and no server can put another file in their place.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple, Self

import requests
import truststore

from app.errors import StartError, reason

KAFKA_VERSION = "4.1.1"
PINS = Path(__file__).with_name("kafka_jars.txt")
INSTEAD = "set EVENT_COUNTER_KAFKA to the host:port of a running Kafka"
MAVEN_CENTRAL = "https://repo.maven.apache.org/maven2"
DOWNLOADS_AT_ONCE = 8
ATTEMPTS = 3
TIMEOUT_S = (10.0, 30.0)  # to connect, and between two pieces
PIECE_BYTES = 1 << 16
SAY_EVERY_S = 0.2
SAID_MAX = 200  # characters of a reason
MB = 1e6


class Jar(NamedTuple):
    """One file of Maven Central, and what it must be."""

    group: str
    name: str
    version: str
    size: int
    sha256: str

    @classmethod
    def of(cls, line: str) -> Self:
        """Return what a line of kafka_jars.txt says."""
        coordinates, size, sha256 = line.split()
        group, name, version = coordinates.split(":")
        return cls(group, name, version, int(size), sha256)

    @property
    def file(self) -> str:
        """The name of the file."""
        return f"{self.name}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Where it lies in a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.file}"

    def is_at(self, path: Path) -> bool:
        """Return whether a file is this one, to the bit; all 44 MB take 0.1 s."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except FileNotFoundError:
            return False


def pinned(pins: Path = PINS) -> list[Jar]:
    """Return all jars of a list."""
    lines = pins.read_text("ascii").splitlines()
    return [Jar.of(line) for line in lines if line and not line.startswith("#")]


def cache_dir() -> Path:
    """Return the folder of downloads, ~/.cache/event-counter unless XDG_CACHE_HOME is set."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "event-counter"


def kafka_jars(say: Callable[[str], None], cache: Path | None = None) -> list[Path]:
    """Return all jars in class path order; what is missing, or not as it must be, is downloaded.

    say: told about the progress; what it raises ends the download. Raises StartError without a
    network, where a server has something else under the name of a jar, and where the name of the
    folder cannot be in a class path.
    """
    folder = (cache or cache_dir()) / f"kafka-{KAFKA_VERSION}"
    if ":" in str(folder):
        raise StartError(
            f"Java cannot read {folder}, as it takes the colon for the end of a name. Set "
            f"XDG_CACHE_HOME to another folder, or {INSTEAD}"
        )
    return jars_in(folder, pinned(), say, f"Apache Kafka {KAFKA_VERSION}", INSTEAD)


def jars_in(
    folder: Path, jars: list[Jar], say: Callable[[str], None], what: str, instead: str
) -> list[Path]:
    """Return jars of a folder in class path order, as kafka_jars().

    what: they are, for people. instead: what to do where they cannot be had.
    """
    if wanted := [jar for jar in jars if not jar.is_at(folder / jar.file)]:
        Download(wanted, folder, say, what, instead).run()
    return sorted(folder / jar.file for jar in jars)


class Download:
    """Fetches jars into a folder, each at once or not at all: what was fetched is kept."""

    def __init__(
        self, jars: list[Jar], folder: Path, say: Callable[[str], None], what: str, instead: str
    ) -> None:
        self._jars, self._folder, self._say = jars, folder, say
        self._what, self._instead = what, instead
        self._bytes, self._all = 0, sum(jar.size for jar in jars)
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def run(self) -> None:
        """Fetch all; raise StartError."""
        # Trust whom the machine trusts: requests alone knows no certificate of a company's own.
        truststore.inject_into_ssl()
        self._say(
            f"downloading {self._what} into {self._folder}, once for all copies: "
            f"{len(self._jars)} jars, {self._all / MB:.0f} MB"
        )
        pool = ThreadPoolExecutor(DOWNLOADS_AT_ONCE)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._wait({pool.submit(self._fetch, jar) for jar in self._jars})
        except (requests.RequestException, OSError) as exc:
            raise StartError(
                f"Cannot download {self._what} from {MAVEN_CENTRAL} ({_short(exc)}). The first "
                f"start needs a network; or {self._instead}"
            ) from exc
        finally:
            self._stopped.set()
            pool.shutdown(cancel_futures=True)

    def _wait(self, waiting: set[Future[None]]) -> None:
        """Tell how far it is until all have ended; raise what one raises."""
        begun = time.monotonic()
        while waiting:
            done, waiting = wait(waiting, SAY_EVERY_S, FIRST_COMPLETED)
            for one in done:
                one.result()
            if share := self._bytes / self._all:
                left_s = (time.monotonic() - begun) * (1 - share) / share
                self._say(
                    f"downloading {self._what}: {self._bytes / MB:.0f} of {self._all / MB:.0f} MB, "
                    f"about {left_s:.0f} s to go"
                )

    def _fetch(self, jar: Jar) -> None:
        """Put one jar into the folder; a failed attempt is repeated."""
        for attempt in range(1, ATTEMPTS + 1):
            with tempfile.TemporaryDirectory(prefix="download-", dir=self._folder) as scratch:
                file = Path(scratch) / jar.file
                try:
                    self._receive(jar, file)
                except requests.RequestException:
                    if attempt == ATTEMPTS:
                        raise
                    continue
                if not jar.is_at(file):
                    raise StartError(
                        f"{MAVEN_CENTRAL}/{jar.path} is not the expected file: its SHA-256 "
                        "differs from the list of this version. Something on the way changes it: "
                        f"try another network, or {self._instead}"
                    )
                file.replace(self._folder / jar.file)
                return

    def _receive(self, jar: Jar, file: Path) -> None:
        url, received = f"{MAVEN_CENTRAL}/{jar.path}", 0
        try:
            with (
                requests.get(url, stream=True, timeout=TIMEOUT_S) as answer,
                file.open("wb") as out,
            ):
                answer.raise_for_status()
                for piece in answer.iter_content(PIECE_BYTES):
                    if self._stopped.is_set():
                        raise requests.ConnectionError("stopped")
                    out.write(piece)
                    received += len(piece)
                    self._add(len(piece))
        except requests.RequestException:
            self._add(-received)
            raise

    def _add(self, size: int) -> None:
        with self._lock:
            self._bytes += size


def _short(exc: Exception) -> str:
    """Return the innermost reason of an error of requests, without its layers of names."""
    while (inner := exc.__cause__ or exc.__context__) and isinstance(inner, Exception):
        exc = inner
    return reason(exc).splitlines()[0][:SAID_MAX]
