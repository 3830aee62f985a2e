"""`event-counter run`: start what is not configured, then the workers; keep all of it running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from pydantic import SecretStr

from app.errors import SettingsError, StartError, reason
from app.settings import Settings
from app.stack.data_dir import check_whole, owned, write_run_file
from app.stack.forked import ForkServer
from app.stack.keeper import Keeper
from app.stack.own_topics import shorten_own_topics
from app.stack.parts import SAY_EVERY_S, Console, LocalServer, Parts, start_told
from app.stack.ports import Ports, is_loopback, wait_for_port
from app.stack.prepare import check_redis, prepare_logs, prepare_topics, wait_for_database
from app.stack.watch import Watch
from app.stack.workers import WorkerProcess, count_worker_names, reached_at, worker_settings
from app.text import url_of

DEFAULT_TOKEN = "secret_token"  # noqa: S105 - for the local run only, and documented
GIVE_UP_DEATHS = 3  # a worker that ends so often at once will not get ready


def default_token(http_host: str) -> str:
    """Return the token of a start without one; raise SettingsError where others reach it.

    It stands in the documentation: good enough for who is on this machine already.
    """
    try:
        if is_loopback(http_host):
            return DEFAULT_TOKEN
    except OSError as exc:
        raise SettingsError(f"EVENT_COUNTER_HTTP_HOST: {http_host!r}: {reason(exc)}") from exc
    raise SettingsError(
        f"EVENT_COUNTER_HTTP_HOST={http_host} opens this to other machines, and "
        "EVENT_COUNTER_TOKEN is empty. Set a token of your own, such as "
        f"EVENT_COUNTER_TOKEN={secrets.token_hex(16)}"
    )


class Supervisor:
    """Runs everything until its task is cancelled; then stops everything."""

    def __init__(self, settings: Settings, console: Console) -> None:
        folder = settings.data_dir.absolute()
        changes: dict[str, object] = {"data_dir": folder, "role": "", "worker_name": ""}
        if not settings.token.get_secret_value():
            changes["token"] = SecretStr(default_token(settings.http_host))
        if not settings.worker_secret.get_secret_value():
            changes["worker_secret"] = SecretStr(secrets.token_hex(16))
        self.settings = settings.model_copy(update=changes)
        self._folder = folder
        self._logs = folder / "logs"
        self._console = console
        self._parts = Parts(self.settings, console)
        self._server = ForkServer(folder, self._logs / "fork-server.log")
        self._workers: list[WorkerProcess] = []
        self._keepers: list[Keeper] = []

    async def run(self, on_ready: Callable[[Settings], None]) -> None:
        """Never returns but by cancellation or StartError; on_ready gets all addresses."""
        with owned(self._folder):
            check_whole(self._folder)
            port, host = self.settings.http_port, self.settings.http_host
            await wait_for_port(port, host, "EVENT_COUNTER_HTTP_PORT")
            async with self._everything_stopped():
                self._server.start()  # first: it imports while the servers start
                self.settings = await self._parts.start()
                await self._prepare()
                self._make_workers()
                if not await self._server.loaded():
                    self._console.step(f"workers are not forked: {self._server.last_words()}")
                async with self._kept() as tasks:
                    await self._wait_until_ready()
                    on_ready(self.settings)
                    await asyncio.gather(*tasks)

    def kill(self) -> None:
        """End everything at once; what is kept is as after kill -9, that is: all of it."""
        units: list[LocalServer | WorkerProcess] = [*self._workers, *self._parts]
        for child in (*(unit.child for unit in units), self._server):
            child.kill()

    @contextlib.asynccontextmanager
    async def _everything_stopped(self) -> AsyncIterator[None]:
        """Stop workers, then parts, however the inside ends."""
        try:
            yield
        finally:
            if self._workers:
                self._console.step("stopping the workers")
                await asyncio.gather(*(worker.stop() for worker in self._workers))
            await self._server.stop(1)
            await self._parts.stop()
            (self._folder / "run.json").unlink(missing_ok=True)

    async def _prepare(self) -> None:
        """Make topics and schema."""
        made = await prepare_topics(self.settings)
        if made:
            self._console.step(f"created the topics {', '.join(made)}")
        await wait_for_database(self.settings, self._console.progress)
        await check_redis(self.settings)
        self._console.step("the database is ready")
        for found in await prepare_logs(self.settings):
            self._console.step(
                f"Kafka lost {found.until - found.end} events of partition {found.partition} that"
                f" it had acknowledged ({found.who} has read them): see the page Backup and loss"
            )
        if self._parts.has_kafka:
            for line in await shorten_own_topics(self.settings):
                self._console.step(line)

    def _make_workers(self) -> None:
        """Decide on names, folders and ports; the same ones as last time where possible."""
        ports, settings = Ports(self._folder / "ports.json"), self.settings
        counts = count_worker_names(settings, os.cpu_count() or 1)
        http = settings.http_port
        own = {name: ports.take(name, avoid=http) for name in (*counts, "store-1", "archive-1")}
        urls = ",".join(url_of(settings.worker_host, own[name]) for name in counts)
        self.settings = settings.model_copy(update={"count_urls": urls})
        watched = ",".join(f"{name}={url_of(settings.worker_host, own[name])}" for name in own)
        plans = [worker_settings(self.settings, "count", name, own[name]) for name in counts]
        plans.append(worker_settings(self.settings, "store", "store-1", own["store-1"]))
        plans.append(worker_settings(self.settings, "archive", "archive-1", own["archive-1"]))
        collect = worker_settings(self.settings, "collect", "collect-1", http)
        plans.append(collect.model_copy(update={"watched_workers": watched}))
        self._workers = [
            WorkerProcess(plan, self._logs / f"{plan.worker_name}.log", self._server)
            for plan in plans
        ]

    @contextlib.asynccontextmanager
    async def _kept(self) -> AsyncIterator[list[asyncio.Task[None]]]:
        """Start the workers; while inside, whatever ends is started again."""
        names = ", ".join(worker.name for worker in self._workers)
        self._console.step(f"starting the workers {names}")
        for worker in self._workers:
            worker.start()
        units: list[LocalServer | WorkerProcess] = [*self._parts, *self._workers]
        for unit in units:
            self._keepers.append(Keeper(unit.child, self._again(unit), self._console.step))
        self._keepers.append(Keeper(self._server, self._fork_server, self._console.step))
        self._tell()
        watches = [Watch(w.child, w.is_alive, self._console.step) for w in self._workers]
        running = [*(keeper.run() for keeper in self._keepers), *(w.run() for w in watches)]
        tasks = [asyncio.create_task(one) for one in running]
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _again(self, unit: LocalServer | WorkerProcess) -> Callable[[], Awaitable[None]]:
        """Return what starts the unit again and tells `status`."""
        port = unit.port

        async def start() -> None:
            if isinstance(unit, WorkerProcess):
                unit.start()
            else:
                await start_told(unit, self._console, port)
            self._tell()

        return start

    async def _fork_server(self) -> None:
        self._server.start()
        self._tell()

    def _addresses(self) -> tuple[str, str, str]:
        settings = self.settings
        return (
            settings.kafka,
            settings.postgres.get_secret_value(),
            settings.redis.get_secret_value(),
        )

    async def _wait_until_ready(self) -> None:
        """Return when all workers are; raise StartError when one ends again and again."""
        waiting, said = list(self._workers), time.monotonic()
        while waiting:
            waiting = [worker for worker in waiting if not await worker.is_ready()]
            for keeper in self._keepers:
                if keeper.quick_deaths >= GIVE_UP_DEATHS:
                    raise StartError(
                        f"{keeper.child.name} exits at once; {keeper.child.last_words()}"
                    )
            if waiting and time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                names = ", ".join(worker.name for worker in waiting)
                self._console.progress(f"waiting for {names}; logs in {self._logs}")
            await asyncio.sleep(0.05)
        self._tell()

    def _tell(self) -> None:
        """Write run.json anew."""
        every: list[LocalServer | WorkerProcess] = [*self._parts, *self._workers]
        ports = {unit.name: unit.port for unit in every}
        units = [{"name": "run", "pid": os.getpid(), "port": 0, "restarts": 0}]
        units += [
            {
                "name": keeper.child.name,
                "pid": keeper.child.pid,
                "port": ports.get(keeper.child.name, 0),
                "restarts": keeper.restarts,
            }
            for keeper in self._keepers
        ]
        settings = self.settings
        write_run_file(
            self._folder,
            {
                "processes": units,
                **dict(zip(("kafka", "postgres", "redis"), self._addresses(), strict=True)),
                "http": reached_at(settings.http_host, settings.http_port),
                "count_urls": settings.count_urls,
                "namespace": settings.namespace,
                "worker_secret": settings.worker_secret.get_secret_value(),
            },
        )
