"""Months forgotten in Postgres: base and rest are what all was; refused where that cannot be."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.forget import command as forget
from app.counting.registry import Begin, encode_decision
from app.errors import StartError
from app.settings import Settings
from app.stores.sql import migrate
from tests.support.forgotten_months import Months, random_event
from tests.support.waiting import wait_until


@pytest.mark.parametrize("seed", range(3))
async def test_base_and_rest_are_what_all_was(months: Months, seed: int) -> None:
    rng = random.Random(seed)
    for partition in (0, 1, 0):
        await months.store([random_event(rng) for _ in range(150)], partition)
    before = await months.figures()
    assert {"own", "types", "stored", "hours"} <= before.keys()
    first = await months.forget("2025-02")
    assert first.rows > 100
    assert await months.figures() == before
    await months.store([random_event(rng) for _ in range(100)], 1)
    late = await months.figures()
    assert late != before
    await months.forget("2025-02")
    assert await months.figures() == late
    await months.forget("2025-03")
    assert await months.figures() == late
    assert (await months.forget("2025-03")).rows == 0
    (left,) = await months.database.fetch("select count(*) as n, min(datetime) as first from event")
    assert left["n"] > 100
    assert f"{left['first']:%Y-%m}" == "2025-12"


async def test_it_matters_not_in_how_many_calls(months: Months) -> None:
    rng = random.Random(9)
    values = [random_event(rng) for _ in range(400)]
    await months.store(values[:250])
    await months.forget("2025-02")
    await months.store(values[250:])
    await months.forget("2025-03")
    (left,) = await months.database.fetch("select count(*) as n from base_clicks")
    assert left["n"] == 4
    third = _third_clicks(values)
    assert await months.clicks() == third
    assert len(third) > 5


def _third_clicks(values: list[bytes]) -> dict[tuple[Any, ...], int]:
    """Return {(source, ad, no website, day): n} of each third click in the months that go."""
    found: dict[tuple[Any, ...], int] = {}
    clicks: dict[str, int] = {}
    seen: set[str] = set()
    for value in values:
        one = json.loads(value)
        message = one.get("message_id")
        if message in seen:
            continue
        if message:
            seen.add(message)
        if one["type"] != "AdClick" or not one["ad_id"]:
            continue
        number = clicks[one["user_id"]] = clicks.get(one["user_id"], 0) + 1
        if number % 3 == 0 and one["timestamp"] < "2025-03":
            day = datetime.fromisoformat(f"{one['timestamp'][:10]}T00:00:00Z")
            place = 0, one["ad_id"], "", int(day.timestamp())
            found[place] = found.get(place, 0) + 1
    return found


def at(moment: str, **fields: Any) -> bytes:
    return json.dumps({"type": "buy", "url": "/edge", "timestamp": moment} | fields).encode()


async def test_a_month_ends_before_the_first_moment_of_the_next(months: Months) -> None:
    last, first = "2025-01-31T23:59:59.999999Z", "2025-02-01T00:00:00Z"
    east = "2025-02-01T00:59:59.999999+01:00"  # of January in UTC
    await months.store([at(first), at(last), at(east)])
    before = await months.figures()
    assert (await months.forget("2025-02")).rows == 2
    (left,) = await months.database.fetch("select datetime from event")
    assert left["datetime"] == datetime.fromisoformat(first)
    assert await months.figures() == before


async def test_a_partition_of_ones_own_goes_where_it_ends_before(months: Months) -> None:
    await migrate(months.dsn)
    for year, name in ((2024, "event_2024"), (2025, "event_2024_01")):
        await months.database.fetch(
            f"create table {name} partition of event"
            f" for values from ('{year}-01-01 00:00:00+00') to ('{year + 1}-01-01 00:00:00+00')"
        )
    await months.store([at(f"2024-{n:02d}-01T00:00:00Z") for n in range(1, 13)])
    await months.store([at(f"2025-{n:02d}-01T00:00:00Z") for n in range(1, 13)])
    before = await months.figures()
    assert (await months.forget("2025-03")).rows == 14
    (left,) = await months.database.fetch("select count(*) as n from event")
    assert left["n"] == 10, "its name says nothing"
    parts = await months.database.fetch(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'event'::regclass"
    )
    assert [tuple(part) for part in parts] == [("event_2024_01",)]
    assert await months.figures() == before


async def test_what_is_not_counted_yet_is_waited_for(months: Months) -> None:
    number = min(months.registry.numbers())
    late = Begin(number, 1, 2)  # the counter begins at the third of these events
    del months.registry.begins[number, 1]
    named = [at("2025-01-05T00:00:00Z", user_id=f"u{n}", value=n) for n in range(5)]
    await months.store(named, 1, counted=False)
    before = await months.everything()
    with pytest.raises(StartError, match="the count workers have come no further"):
        await months.forget("2025-02", workers_s=0)
    assert await months.everything() == before
    forgetting = asyncio.create_task(months.forget("2025-02", workers_s=60))
    await wait_until(lambda: len(months.said) > 0, expected=True)
    months.registry.apply(encode_decision(late))
    await months.counted()
    assert (await forgetting).rows == 5
    rows = await months.database.fetch(
        "select key, value from base_cells where counter = $1 order by 1", number
    )
    assert [tuple(row) for row in rows] == [(f"u{n}", n * 1_000_000) for n in (2, 3, 4)]


HUGE = json.dumps(
    {"type": "buy", "user_id": "u", "value": 9e12, "timestamp": "2025-01-01T00:00:00Z"}
).encode()
KEPT_HUGE = HUGE.replace(b"2025-01-01", b"2025-12-01")


@pytest.mark.parametrize("values", [[HUGE, HUGE], [HUGE, KEPT_HUGE]])
async def test_a_sum_that_had_no_room_is_refused(months: Months, values: list[bytes]) -> None:
    await months.store(values)
    await months.figures()
    before = await months.everything()
    with pytest.raises(StartError, match="amounts had no room"):
        await months.forget("2025-02")
    assert await months.everything() == before


async def test_it_asks_before(months: Months, monkeypatch: pytest.MonkeyPatch) -> None:
    await months.store([at("2025-01-05T00:00:00Z")])
    for name, value in months.settings.to_env().items():
        monkeypatch.setenv(name, value)
    asked = "Forget all events before 2025-02 for good?"
    run = CliRunner().invoke
    done = await asyncio.to_thread(run, forget, ["--before", "2025-02"], input="n\n")
    assert (done.exit_code, asked in done.output) == (1, True)
    (left,) = await months.database.fetch("select count(*) as n from event")
    assert left["n"] == 1
    done = await asyncio.to_thread(run, forget, ["--before", "2025-02"], input="y\n")
    assert "forgot 1 rows of event before 2025-02, and 0 files" in done.stdout
    assert "backups that were taken before" in done.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--before", f"{datetime.now(UTC):%Y-%m}"), "is too young"),
        (("--before", "2026-5"), "'2026-5' is no month; write for example 2026-05"),
        (("--before", "2026-13"), "is no month"),
        (("--before", "2026-01", "--user", "u"), "give --user or --before"),
        ((), "give --user or --before"),
    ],
)
def test_what_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, given: tuple[str, ...], words: str
) -> None:
    for name, value in settings.to_env().items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(forget, [*given, "--yes"])
    assert done.exit_code != 0
    assert words in f"{done.output} {done.exception}"
