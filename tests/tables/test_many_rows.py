"""Answers from very many rows of one key: byte for byte what they are, in many turns."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import faust
import msgspec
import pytest

import tables.turns
import web.query.gather
import web.stats.ads
import web.stats.counts
import web.stats.report
from app.counting.counters import Counters
from app.counting.declared import Meaning
from app.counting.row_keys import SOURCE
from app.counting.spec import HOUR
from app.counting.uniques import Estimate
from app.errors import BadRequestError, RecoveringError, UnavailableError
from app.events.times import rfc3339
from tables.distinct_rows import DistinctRows
from tables.row_sources import LiveRows
from tables.totals import Totals
from tables.uniques import Uniques
from tests.support.turns import turns_of
from tests.tables.test_distinct_rows import merge
from tests.tables.test_totals import NOW
from web.http import paths
from web.http.paths import Call
from web.query.messages import Answer, Query
from web.query.stepwise import AT_ONCE, Stepwise
from web.stats.distinct import Sketches

MANY = 20_000
START = int(NOW.timestamp()) - HOUR  # of the window
VIEWS = "/counts/page_views_by_website_hourly?key=shop.example"
KEEP_ALL: Any = SimpleNamespace(check=lambda _partition: None, reached=None)
BUYERS = Meaning(HOUR, "url", "category", "distinct:user_id").spec(61, "buyers", "")


class Worker:
    """Takes the calls of a count worker; its partitions move when the test says so."""

    def __init__(
        self, totals: Totals, counters: Counters, sketches: Sketches | None = None
    ) -> None:
        self.handlers: dict[Call, Callable[[Query], Answer | Awaitable[Answer]]] = {}
        owned: Any = SimpleNamespace(generation=1, check=lambda _partition: None)
        self.owned = owned
        queries: Any = SimpleNamespace(
            add=self.handlers.__setitem__, check_owner=lambda _partition, _query: None
        )
        uniques: Any = SimpleNamespace(
            visitors=lambda _month, _ad: Estimate(3, 0.0),
            reached=SimpleNamespace(check_floor=lambda _partition: None),
        )
        stepwise = Stepwise(self.owned)
        web.stats.counts.register(queries, stepwise, totals, counters, sketches)
        web.stats.report.register(queries, stepwise, totals, counters)
        web.stats.ads.register(queries, stepwise, totals, uniques, self.owned)

    def ask(self, call: Call, path: str, **body: str) -> Answer | Awaitable[Answer]:
        return self.handlers[call](Query(call.method, path, json.dumps(body).encode()))


async def fill(
    totals: Totals, counters: Counters, name: str, key: str, counts: dict[str, int], at: int = START
) -> None:
    """Count so many of each label in one window."""
    spec, records = counters[name], []
    start, slot = spec.place(at)
    for label, count in counts.items():
        row = spec.keys.row(key, start, label) + SOURCE.pack(0)
        records.append(SimpleNamespace(key=row, value=msgspec.msgpack.encode((9, {slot: count}))))
    await totals.merge(totals.partition_of(key), records, 1)


def random_counts(rng: random.Random, many: int = MANY) -> dict[str, int]:
    """Labels that sort otherwise by their length and as strangers write them."""
    return {
        f'{rng.choice("aö/")}"{number % 97}\\{number},\n': 1 + number % 7 for number in range(many)
    }


async def body_of(answer: Answer | Awaitable[Answer]) -> bytes:
    found = answer if isinstance(answer, Answer) else await answer
    assert found.status == 200
    return found.body


async def turns_and_body(answer: Answer | Awaitable[Answer]) -> tuple[int, bytes]:
    found: list[bytes] = []

    async def keep() -> None:
        found.append(await body_of(answer))

    return await turns_of(keep()), found[0]


@pytest.fixture
def every_step_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables.turns, "TURN_S", -1)
    monkeypatch.setattr(web.query.gather, "LOCAL_TIMEOUT_S", 60.0)


@pytest.fixture
def totals(make_totals: Callable[[], Totals]) -> Totals:
    return make_totals()


@pytest.mark.usefixtures("every_step_a_turn")
async def test_counts_of_many_labels(totals: Totals, counters: Counters) -> None:
    counts = random_counts(random.Random(1))
    await fill(totals, counters, "page_views_by_website_hourly", "shop.example", counts)
    worker, ordered = Worker(totals, counters), dict(sorted(counts.items()))
    turns, body = await turns_and_body(worker.ask(paths.COUNTS, VIEWS))
    assert turns > MANY
    shown = {
        "counter": "page_views_by_website_hourly",
        "key": "shop.example",
        "windows": [{"start": rfc3339(START), "counts": ordered}],
        "total": ordered,
    }
    assert body == msgspec.json.encode(shown)
    days = json.loads(await body_of(worker.ask(paths.COUNTS, VIEWS + "&by=1d")))
    assert [day["counts"] for day in days["windows"]] == [ordered] == [days["total"]]
    turns, body = await turns_and_body(worker.ask(paths.COUNTS, VIEWS + "&format=csv"))
    assert turns > MANY
    text = io.StringIO()
    lines = [(rfc3339(START), label, count) for label, count in ordered.items()]
    csv.writer(text).writerows([("start", "label", "count"), *lines])
    assert body == text.getvalue().encode()


@pytest.mark.usefixtures("every_step_a_turn")
async def test_a_url_with_many_types(totals: Totals, counters: Counters) -> None:
    counts = random_counts(random.Random(2))
    await fill(totals, counters, "events_by_url_hourly", "/", counts)
    worker = Worker(totals, counters)
    ordered = dict(sorted({**counts, "CLICK": 0, "VIEW": 0}.items()))
    listed = [{"type": label, "count": count} for label, count in ordered.items()]
    turns, body = await turns_and_body(worker.ask(paths.EVENT_TRACK, "/event_track", url="/"))
    assert turns > MANY
    assert body == msgspec.json.encode({"url": "/", "events": listed})
    day = rfc3339(START)[:10]
    report = worker.ask(paths.EVENT_REPORT, "/event_report", url="/", date=day)
    turns, body = await turns_and_body(report)
    assert turns > MANY
    hours = msgspec.json.decode(body)["dateHourEventCounts"]
    hour = START // HOUR % 24
    assert hours[hour] == {"datehour": hour, "eventCounts": listed}
    nothing = [{"type": label, "count": 0} for label in ordered]
    assert all(hours[at]["eventCounts"] == nothing for at in range(24) if at != hour)
    local = worker.ask(paths.EVENT_REPORT, "/event_report", url="/", date=day, tz="UTC")
    hours = msgspec.json.decode(await body_of(local))["dateHourEventCounts"]
    assert (hours[hour]["start"], hours[hour]["eventCounts"]) == (rfc3339(START), listed)


@pytest.mark.usefixtures("every_step_a_turn")
async def test_an_ad_that_is_clicked_on_many_websites(totals: Totals, counters: Counters) -> None:
    counts = random_counts(random.Random(3))
    await fill(totals, counters, "counted_clicks_by_ad_daily", "34", counts)
    worker, month = Worker(totals, counters), rfc3339(START)[:7]
    answer = worker.ask(paths.ONE_AD, f"/stats/ads/34?at={rfc3339(START)}")
    turns, body = await turns_and_body(answer)
    assert turns > MANY
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = {
        "month": month,
        "ad_id": "34",
        "impressions": 0,
        "visitors": 3,
        "clicks": 0,
        "counted_clicks": [{"website": website, "count": count} for website, count in ranked],
        "final": False,
    }
    assert body == msgspec.json.encode(shown)


@pytest.mark.usefixtures("every_step_a_turn")
async def test_distinct_values_of_many_labels(
    totals: Totals, counters: Counters, make_app: Callable[[], faust.App]
) -> None:
    own, many = Counters([*counters.values(), BUYERS]), 1500
    uniques = Uniques.create(make_app(), "uniques", 4, "", counters=own)
    counts = random_counts(random.Random(6), many)
    seen = {("/", START, at): {f"u{n}" for n in range(count)} for at, count in counts.items()}
    merge(uniques, BUYERS, seen)
    await uniques.flush()
    worker = Worker(totals, own, Sketches(uniques, DistinctRows(uniques), KEEP_ALL))
    turns, body = await turns_and_body(worker.ask(paths.COUNTS, "/counts/buyers?key=/"))
    assert turns > 3 * many, "rows, and the values of a window and of all"
    ordered = dict(sorted(counts.items()))
    shown = {
        "counter": "buyers",
        "key": "/",
        "windows": [{"start": rfc3339(START), "counts": ordered, "error": 0.0}],
        "total": ordered,
        "error": 0.0,
    }
    assert body == msgspec.json.encode(shown)
    answer = worker.ask(paths.COUNTS, "/counts/buyers?key=/&format=csv")
    lines = list(csv.reader(io.StringIO((await body_of(answer)).decode(), newline="")))
    assert lines[0] == ["start", "label", "count", "error"]
    assert lines[1:] == [[rfc3339(START), at, str(n), "0.0"] for at, n in ordered.items()]


async def test_few_rows_are_answered_at_once(
    totals: Totals, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tables.turns.TURN_S", 60)  # whatever else the machine does
    await fill(totals, counters, "events_by_url_hourly", "/", {"VIEW": 3})
    worker = Worker(totals, counters)
    answer = worker.ask(paths.EVENT_TRACK, "/event_track", url="/")
    assert isinstance(answer, Answer)
    assert answer.body == (
        b'{"url":"/","events":[{"type":"CLICK","count":0},{"type":"VIEW","count":3}]}'
    )


@pytest.mark.usefixtures("every_step_a_turn")
async def test_a_key_that_moves_meanwhile_is_not_answered(
    totals: Totals, counters: Counters
) -> None:
    await fill(totals, counters, "events_by_url_hourly", "/", {"VIEW": 3, "CLICK": 1})
    worker = Worker(totals, counters)
    reading = asyncio.ensure_future(body_of(worker.ask(paths.EVENT_TRACK, "/", url="/")))
    await asyncio.sleep(0)
    worker.owned.generation += 1
    with pytest.raises(RecoveringError):
        await reading


@pytest.mark.usefixtures("every_step_a_turn")
async def test_only_some_long_answers_are_made_at_a_time(
    totals: Totals, counters: Counters
) -> None:
    await fill(totals, counters, "events_by_url_hourly", "/", {"VIEW": 3})
    worker = Worker(totals, counters)
    asked = [body_of(worker.ask(paths.EVENT_TRACK, "/", url="/")) for _ in range(AT_ONCE + 1)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in found] == [bytes] * AT_ONCE + [UnavailableError]


async def test_more_counts_than_an_answer_may_have_are_refused(
    totals: Totals, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.stats.counts, "COUNTS_MAX", 10)
    name, worker = "page_views_by_website_hourly", Worker(totals, counters)
    for hours in (0, 30):
        counts = random_counts(random.Random(4), 10)
        await fill(totals, counters, name, "shop.example", counts, START - hours * HOUR)
    with pytest.raises(BadRequestError, match="over 10 counts; ask for less by from= and to="):
        await body_of(worker.ask(paths.COUNTS, VIEWS))
    found = await body_of(worker.ask(paths.COUNTS, f"{VIEWS}&from={rfc3339(START)}"))
    assert len(json.loads(found)["total"]) == 10


async def test_redis_gets_a_url_of_many_types_in_steps(totals: Totals, counters: Counters) -> None:
    counts = random_counts(random.Random(5), 3000)
    await fill(totals, counters, "events_by_url_hourly", "/", counts)
    live = LiveRows(totals, KEEP_ALL, counters, KEEP_ALL)
    steps = list(live._rows(["/"]))
    assert len(steps) > len(counts)
    assert steps[-1] == ("/", counts)
    assert not any(steps[:-1])
