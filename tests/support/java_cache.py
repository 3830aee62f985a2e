"""What lets the Kafkas of a run start sooner: Java's cache of loaded and linked classes (JEP 514).

`python -m tests.support.java_cache` makes it, once for an installation. Formatted and started, a
Kafka takes 3.1 s of processor time then instead of 6.7, and a run starts more than a hundred.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from app.stack.jars import KAFKA_VERSION, kafka_jars
from app.stack.kafka import JAVA_OPTIONS, Kafka, find_java

CACHE = Path(sys.prefix) / f"kafka-{KAFKA_VERSION}.aot"
# Java compiles twice, the second time for what goes on for long: for tests once is enough.
ONCE = "-XX:TieredStopAtLevel=1"
VARIABLE = "JDK_JAVA_OPTIONS"  # read by `java` itself


def use() -> None:
    """Have each Java that this process or a child of it starts begin fast."""
    options = f"{ONCE} -XX:AOTCache={CACHE}" if CACHE.exists() else ONCE
    os.environ.setdefault(VARIABLE, options)


def make() -> None:
    """Start a Kafka, note what it loads, and keep that; raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "kafka.aotconf"
        os.environ[VARIABLE] = f"{ONCE} -XX:AOTMode=record -XX:AOTConfiguration={noted}"
        asyncio.run(started_once(Path(folder)))
        os.environ[VARIABLE] = ONCE
        made = CACHE.with_suffix(".part")
        options = "-XX:AOTMode=create", f"-XX:AOTConfiguration={noted}", f"-XX:AOTCache={made}"
        jars = ":".join(map(str, kafka_jars(lambda _: None)))
        subprocess.run(
            [str(find_java()), *JAVA_OPTIONS, *options, "-cp", jars],
            check=True,
            capture_output=True,
        )
        made.rename(CACHE)


async def started_once(folder: Path) -> None:
    """Start a Kafka and stop it."""
    part = Kafka(folder / "kafka", folder / "kafka.log")
    await part.start()
    await part.stop()


if __name__ == "__main__" and not CACHE.exists():
    make()
