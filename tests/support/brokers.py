"""Kafka brokers with listeners and roles that the local stack has no use for."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.stack.child import Child
from app.stack.jars import kafka_jars
from app.stack.kafka import CONFIG, JAVA_OPTIONS, PROPERTIES, find_java
from app.stack.ports import LOOPBACK, accepts, free_port

START_S = 180
STOP_S = 15


def new_cluster_id() -> str:
    """Return the id of a cluster that is to be."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").lstrip("-") or "a"


class Broker:
    """One broker; the first of a cluster is its controller, too. Start it again after a stop."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, str],
        *,
        node: int = 1,
        controller: Broker | None = None,
        format_options: Sequence[str] = (),
    ) -> None:
        """config: what is other than in the local stack. controller: None for the first."""
        self.port = free_port()
        self.address = f"{LOOPBACK}:{self.port}"
        self.cluster: str = controller.cluster if controller else new_cluster_id()
        self.controller_port: int = controller.controller_port if controller else free_port()
        self._folder, self._node, self._format = folder.absolute(), node, format_options
        second = {
            "process.roles": "broker",
            "node.id": str(node),
            "listeners": f"PLAINTEXT://{self.address}",
        }
        self.config = {**(second if controller else {}), **config}
        self.child = Child("kafka", self._folder, self._folder / "kafka.log")
        self.child.cwd = self._folder

    async def start(self) -> None:
        """Return when it accepts connections."""
        self._folder.mkdir(parents=True, exist_ok=True)
        jars = await asyncio.to_thread(kafka_jars, print)
        java = [str(find_java()), *JAVA_OPTIONS, "-cp", ":".join(map(str, jars))]
        config, data = self._folder / PROPERTIES, self._folder / "data"
        text = CONFIG.format(broker=self.port, controller=self.controller_port)
        lines = [f"{name}={value}" for name, value in self.config.items()]  # the last one counts
        config.write_text("\n".join([text, *lines]), "utf-8")
        if not data.exists():
            tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster}"]
            command = [*java, *tool, "--config", PROPERTIES, *self._format]
            done = await asyncio.to_thread(
                subprocess.run,
                command,
                cwd=self._folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        self.child.spawn([*java, "kafka.Kafka", PROPERTIES])
        await self.child.ready(lambda: accepts(self.port), START_S)

    async def stop(self) -> None:
        """End it cleanly."""
        await self.child.stop(STOP_S)
