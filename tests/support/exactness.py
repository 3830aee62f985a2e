"""Whether tables, Postgres, Redis and unique-event-topic hold exactly what `events` holds."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.names import Names
from app.settings import Settings
from tests.support.alerted import alerts_in, alerts_of
from tests.support.caught_up import caught_up
from tests.support.judgement import judged_by
from tests.support.kafka_client import KafkaClient
from tests.support.ledger import RECENT_FROM_S, Ledger, Truth, truth_of
from tests.support.users import expected_users, month_differences, users_of
from tests.support.waiting import wait_until

DEADLINE_S = 120.0  # nothing is timed; other work may have the processor
AT_ONCE = 8  # queries
SHOWN = 5  # differences in a message
SAMPLE = 10  # urls that are asked for in every way
AWAY = (aiohttp.ClientError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError)


def differences(found: Mapping[Any, int], expected: Mapping[Any, int]) -> list[str]:
    """Return what differs, in words; empty when both are equal."""
    keys = [key for key in {**expected, **found} if found.get(key, 0) != expected.get(key, 0)]
    if not keys:
        return []
    short = sum(max(0, expected.get(key, 0) - found.get(key, 0)) for key in keys)
    over = sum(max(0, found.get(key, 0) - expected.get(key, 0)) for key in keys)
    shown = [f"{key}: {found.get(key, 0)} not {expected.get(key, 0)}" for key in keys[:SHOWN]]
    return [f"{len(keys)} differ, {short} missing, {over} too many", *shown]


class Exactness:
    """Compares the stores of one namespace with the truth of its log.

    urls: of count workers, which are asked in turn. frozen: one was, and may have repeated
    alerts and rejected records.
    """

    def __init__(
        self, settings: Settings, kafka: KafkaClient, truth: Truth, urls: Sequence[str]
    ) -> None:
        self.truth, self.frozen = truth, False
        self._settings, self._kafka, self._urls = settings, kafka, itertools.cycle(urls)
        self._names = Names(settings.namespace)
        keeps = RECENT_FROM_S if settings.hourly_retention_days else 0
        self._hours = Counter({k: n for k, n in truth.hourly.items() if k[1] > keeps})

    @classmethod
    async def of(
        cls, settings: Settings, kafka: KafkaClient, ledger: Ledger, urls: Sequence[str]
    ) -> Exactness:
        """Read the log, which nobody writes any more."""
        records = await kafka.read(Names(settings.namespace).events)
        return cls(settings, kafka, truth_of(ledger, records, statistics=settings.statistics), urls)

    async def everything(self) -> None:
        """Wait until all stores are equal to the truth; fail at the deadline."""
        await self.counted()
        await self.stored()
        await self.summed()
        await self.live()

    # -- tables ---------------------------------------------------------------------------

    async def counted(self) -> None:
        """Tables over HTTP, alerts, rejected records, unique-event-topic."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            await self._equal(lambda: self._table_differences(http))
            await self._equal(lambda: self._answer_differences(http))
            await self.caught_up()  # alerts come before the commit
            await self._equal(lambda: self._alert_differences(http))
        await self._equal(self._published_differences)
        await self._equal(self._rejected_differences)

    async def table_differences(self) -> list[str]:
        """Return in what the tables differ right now, in words; empty when they are equal."""
        async with aiohttp.ClientSession() as http:
            return await self._table_differences(http)

    async def caught_up(self) -> None:
        """Wait until all that can be counted is."""
        await caught_up(self._settings, self._kafka)

    async def _table_differences(self, http: aiohttp.ClientSession) -> list[str]:
        for counter, counts in (
            ("events_by_type", self.truth.by_type),
            ("duplicates_by_type", self.truth.duplicates_by_type),
        ):
            found = await self._counts(http, counter)
            if different := differences(found["total"], counts):
                return [counter, *different]
        minutes = _windows((await self._counts(http, "events_by_type_minutely"))["windows"])
        return (
            differences(minutes, self.truth.minutely)
            or await self._url_differences(http)
            or await self._user_differences(http)
        )

    async def _user_differences(self, http: aiohttp.ClientSession) -> list[str]:
        """Active users, ads, and what the rules about users left out or chose."""

        async def answer(path: str) -> dict[str, Any]:
            return await self._ask(http, "GET", path)

        if not self._settings.statistics:
            return []
        found = await users_of(answer, self.truth)
        return differences(found, expected_users(self.truth)) or differences(
            await judged_by(answer, self.truth.judgement), self.truth.judgement.expected()
        )

    async def _url_differences(self, http: aiohttp.ClientSession) -> list[str]:
        hours: dict[tuple[str, int, str], int] = {}
        totals: dict[tuple[str, str], int] = {}

        async def ask(urls: Iterable[str]) -> None:
            for url in urls:
                answer = await self._counts(http, "events_by_url_hourly", url)
                for (start, label), count in _windows(answer["windows"]).items():
                    hours[url, start, label] = count
                answer = await self._counts(http, "events_by_url", url)
                totals.update({(url, label): n for label, n in answer["total"].items()})

        urls = self.truth.urls
        await asyncio.gather(*(ask(urls[n::AT_ONCE]) for n in range(AT_ONCE)))
        return differences(hours, self._hours) or differences(totals, self.truth.by_url)

    async def _answer_differences(self, http: aiohttp.ClientSession) -> list[str]:
        """/event_track/ and /event_report/, for some urls."""
        for url in self.truth.urls[:: max(1, len(self.truth.urls) // SAMPLE)]:
            expected = self.truth.of_url(url)
            track = await self._post(http, "/event_track/", {"url": url})
            shown = {item["type"]: item["count"] for item in track["events"]}
            found = differences(shown, expected) or await self._report_differences(http, url)
            if found:
                return [url, *found]
        return []

    async def _report_differences(self, http: aiohttp.ClientSession, url: str) -> list[str]:
        days = {f"{_utc(hour):%Y-%m-%d}" for at, hour, _ in self._hours if at == url}
        for day in days:
            report = await self._post(http, "/event_report/", {"url": url, "date": day})
            found = {
                (hour["datehour"], item["type"]): item["count"]
                for hour in report["dateHourEventCounts"]
                for item in hour["eventCounts"]
            }
            expected = {
                (_utc(hour).hour, label): count
                for (at, hour, label), count in self._hours.items()
                if at == url and f"{_utc(hour):%Y-%m-%d}" == day
            }
            if different := differences(found, expected):
                return [day, *different]
        return []

    async def _counts(
        self, http: aiohttp.ClientSession, counter: str, key: str = ""
    ) -> dict[str, Any]:
        path = f"/counts/{counter}?key={quote(key, safe='')}"
        return await self._ask(http, "GET", path)

    async def _post(self, http: aiohttp.ClientSession, path: str, body: object) -> dict[str, Any]:
        return await self._ask(http, "POST", path, json=body)

    async def _ask(
        self, http: aiohttp.ClientSession, method: str, path: str, **body: Any
    ) -> dict[str, Any]:
        url = next(self._urls) + path
        async with http.request(method, url, **body) as answer:
            if answer.status != HTTPStatus.OK:
                raise aiohttp.ClientPayloadError(f"{url}: {answer.status} {await answer.text()}")
            found: dict[str, Any] = await answer.json()
            return found

    async def _alert_differences(self, http: aiohttp.ClientSession) -> list[str]:
        """The topic alerts: one for each window at its threshold, and no other."""
        found = alerts_in(await self._kafka.values(self._names.alerts))
        due = await alerts_of(self._settings, self.truth.urls, partial(self._counts, http))
        return differences(Counter(found.keys()) if self.frozen else found, due)

    # -- Kafka ----------------------------------------------------------------------------

    async def _published_differences(self) -> list[str]:
        """The last message of unique-event-topic; no total may ever have gone down."""
        last: dict[str, int] = {}
        for value in await self._kafka.values(self._names.totals):
            message = json.loads(value)
            message.pop("receiveAt")
            fell = [label for label, count in last.items() if message.get(label, 0) < count]
            assert not fell, f"totals went down: {last}, then {message}"
            last = message
        return differences(last, self.truth.by_type)

    async def _rejected_differences(self) -> list[str]:
        """Each bad record once, with its code."""
        messages = [json.loads(v) for v in await self._kafka.values(self._names.rejected)]
        found = {(message["partition"], message["offset"]): message["code"] for message in messages}
        assert self.frozen or len(found) == len(messages), "a record is in events-rejected twice"
        wrong = [f"{p} {found.get(p)} not {c}" for p, c in self.truth.rejected.items()]
        return [] if found == self.truth.rejected else [f"{len(found)} rejected", *wrong[:SHOWN]]

    # -- Postgres and Redis ---------------------------------------------------------------

    async def stored(self) -> None:
        """Table event: each valid record once; sink_offsets at the end of each partition."""
        await self._equal(self._event_differences)

    async def _event_differences(self) -> list[str]:
        connection = await asyncpg.connect(self._settings.postgres.get_secret_value())
        try:
            rows = await connection.fetch("select kafka_partition, kafka_offset, uuid from event")
            ends = await connection.fetch("select partition, next_offset from sink_offsets")
            human = await connection.fetch("select kafka_partition, kafka_offset from human_event")
        finally:
            await connection.close()
        found = Counter((row[0], row[1], row[2]) for row in rows)
        expected = Counter((*place, uuid) for place, uuid in self.truth.places.items())
        return (
            differences(found, expected)
            or differences(dict(ends), self.truth.ends)
            or differences(Counter(map(tuple, human)), Counter(self.truth.human))
        )

    async def summed(self) -> None:
        """Tables event_summary and ad_month."""
        await self._equal(self._summary_differences)

    async def _summary_differences(self) -> list[str]:
        connection = await asyncpg.connect(self._settings.postgres.get_secret_value())
        try:
            rows = await connection.fetch("select url, datehour, type, count from event_summary")
            ads = await connection.fetch("select month, ad_id, impressions, visitors from ad_month")
        finally:
            await connection.close()
        found = {(row[0], int(row[1].timestamp()), row[2]): row[3] for row in rows}
        months = {(row[0], row[1]): (row[2], row[3]) for row in ads}
        return differences(found, self._hours) or month_differences(months, self.truth)

    async def live(self) -> None:
        """The hashes in Redis."""
        await self._equal(self._redis_differences)

    async def _redis_differences(self) -> list[str]:
        found: dict[tuple[str, str], int] = {}
        prefix = "event_counter:url:"
        redis = Redis.from_url(self._settings.redis.get_secret_value(), decode_responses=True)
        async with redis:
            keys = [key async for key in redis.scan_iter(f"{prefix}*", count=1000)]
            pipe = redis.pipeline(transaction=False)
            for key in keys:
                pipe.hgetall(key)
            for key, counts in zip(keys, await pipe.execute(), strict=True):
                found |= {(key.removeprefix(prefix), t): int(n) for t, n in counts.items()}
        return differences(found, self.truth.by_url)

    async def _equal(self, ask: Any) -> None:
        await wait_until(ask, [], deadline_s=DEADLINE_S, every_s=0.3, passing=AWAY)


def _windows(windows: Iterable[dict[str, Any]]) -> dict[tuple[int, str], int]:
    """Return {(start in s since 1970, label): count}."""
    return {
        (int(datetime.fromisoformat(window["start"]).timestamp()), label): count
        for window in windows
        for label, count in window["counts"].items()
    }


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
