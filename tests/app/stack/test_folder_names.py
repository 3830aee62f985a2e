"""Local servers keep their data in the folder they are given, whatever its name."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from app.errors import SettingsError
from app.kafka.topics import ensure_topics
from app.settings import Settings
from app.stack.data_dir import owned
from app.stack.kafka import Kafka
from app.stack.postgres import LocalPostgres
from app.stack.redis import Redis
from tests.support.running_copy import UGLY

LONG = "long/" + "/".join(["x" * 120] * 4)  # a socket's name has room for 107 bytes


@pytest.mark.parametrize("name", [UGLY, LONG])
async def test_kafka_has_its_topics_after_a_restart(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")  # has names in ASCII alone
    part = Kafka(tmp_path / name / "kafka", tmp_path / name / "kafka.log")
    try:
        settings = Settings(kafka=await part.start())
        assert await ensure_topics(settings)
        await part.stop()
        assert await part.start() == settings.kafka
        assert await ensure_topics(settings) == []
    finally:
        await part.stop()


@pytest.mark.parametrize("name", [UGLY, LONG])
async def test_postgres_has_its_rows_after_kill_9(tmp_path: Path, name: str) -> None:
    part = LocalPostgres(tmp_path / name / "postgres", tmp_path / name / "postgres.log")
    try:
        connection = await asyncpg.connect(await part.start())
        await connection.execute("create table kept (n int); insert into kept values (7)")
        part.child.kill()
        connection.terminate()
        connection = await asyncpg.connect(await part.start())
        assert await connection.fetchval("select n from kept") == 7
        await connection.close()
    finally:
        await part.stop()


@pytest.mark.parametrize("name", [UGLY, LONG])
async def test_redis_has_its_keys_after_a_restart(tmp_path: Path, name: str) -> None:
    part = Redis(tmp_path / name / "redis", tmp_path / name / "redis.log")
    try:
        for kept in (None, b"7"):
            client = redis.asyncio.Redis.from_url(await part.start())
            assert await client.get("kept") == kept
            await client.set("kept", 7)
            await client.aclose()
            await part.stop()
    finally:
        await part.stop()


@pytest.mark.parametrize("sign", ["\n", "\x1b", "\\", "\udce4"])
def test_what_no_server_could_read_is_refused(tmp_path: Path, sign: str) -> None:
    with pytest.raises(SettingsError, match="EVENT_COUNTER_DATA_DIR"), owned(tmp_path / sign):
        pass
    assert [*tmp_path.iterdir()] == []
