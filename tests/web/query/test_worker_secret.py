"""What is between workers is answered to workers alone, on a real count worker."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.conftest import MakeSettings, StartWorker
from tests.support.running_copy import command_line
from tests.support.waiting import wait_until
from web.query.messages import Answer, Query, decode_answers, encode_queries

SECRET = "s3cret"
BEARER = {"Authorization": f"Bearer {SECRET}"}
COUNTERS = encode_queries([Query("GET", "/counters")])
REFUSED = (401, "unauthorized")


@pytest.mark.usefixtures("topics")
async def test_who_does_not_know_the_secret_gets_nothing(
    make_settings: MakeSettings, start_worker: StartWorker
) -> None:
    settings = await make_settings(worker_secret=SECRET)
    count = await start_worker(settings, "count")
    collect = await start_worker(settings, "collect")
    async with aiohttp.ClientSession() as http:
        for path in ("/queries", "/queries/"):
            assert await post(http, f"{count.url}{path}", {}) == REFUSED
            assert await post(http, f"{count.url}{path}", {"Authorization": "Bearer x"}) == REFUSED
        async with http.get(f"{count.url}/rows/events_by_url?partition=0") as answer:
            assert answer.status == 401
        assert await link(http, count.url, {}) == 401
        assert await link(http, count.url, {"Origin": "http://evil.example", **BEARER}) == 403
        assert await link(http, count.url, BEARER) == 200
        assert await post(http, f"{count.url}/queries", BEARER) == (200, "")
        async with http.get(f"{count.url}/rows/events_by_url?partition=0", headers=BEARER) as rows:
            assert rows.status == 200

        async def asked() -> int:
            async with http.get(f"{collect.url}/counters") as answer:
                return answer.status

        await wait_until(asked, 200)  # the collector knows it
    given: dict[str, Any] = {
        "kafka": settings.kafka,
        "namespace": settings.namespace,
        "postgres": settings.postgres.get_secret_value(),
        "redis": settings.redis.get_secret_value(),
        "count_urls": count.url,
    }
    audit = await asyncio.to_thread(command_line, "audit", **given)
    assert audit.returncode == 1
    assert "EVENT_COUNTER_WORKER_SECRET" in audit.stderr


@pytest.mark.usefixtures("topics")
async def test_a_web_page_has_no_link_even_where_no_secret_is_set(
    make_settings: MakeSettings, start_worker: StartWorker
) -> None:
    settings = await make_settings()
    count = await start_worker(settings, "count")
    async with aiohttp.ClientSession() as http:
        assert await link(http, count.url, {"Origin": "http://evil.example"}) == 403
        assert await link(http, count.url, {}) == 200


async def post(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> tuple[int, str]:
    """Return the status of a batch of one query, and the code of the error."""
    async with http.post(url, data=COUNTERS, headers=headers) as answer:
        if answer.status != 200:
            return answer.status, (await answer.json())["code"]
        assert [found.status for found in decode_answers(await answer.read())] == [200]
        return answer.status, ""


async def link(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    """Return 200 where a query over the link is answered, else the status of the refusal."""
    try:
        async with http.ws_connect(f"{url}/queries/link", headers=headers) as socket:
            await socket.send_bytes(msgspec.msgpack.encode([(1, Query("GET", "/counters"))]))
            message = await socket.receive(timeout=30)
            ((number, answer),) = msgspec.msgpack.decode(
                message.data, type=list[tuple[int, Answer]]
            )
            assert number == 1
            return answer.status
    except aiohttp.WSServerHandshakeError as exc:
        return exc.status
