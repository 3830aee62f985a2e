"""Generated events: the same for a seed, accepted, and only bots are bots."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self, get_args

import pytest

from app.events.decoding import decode
from app.events.event import Event, partition_key
from app.events.packing import PackedRecord
from app.ingest.generator import BOT_BURST, Generator, Shape
from app.ingest.generator_run import Load, Pace, Tally, summary
from app.ingest.generator_targets import NotTakenError, Taken

NOW_US = 1_790_000_000_999_000  # a second ends within the first batch
SHAPES = get_args(Shape)
VIEWS = ("page_view", "PageView", "VIEW")


def some(generator: Generator, count: int = 3000) -> list[PackedRecord]:
    """Return events of three batches."""
    return [
        record
        for batch in range(3)
        for record in generator.events(count // 3, NOW_US + batch * 1_000_000)
    ]


def decoded(records: list[PackedRecord]) -> list[Event]:
    return [decode(value, ms) for _, value, ms in records]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_seed_makes_the_same_events(shape: Shape) -> None:
    assert some(Generator(shape, bots=2, seed=7)) == some(Generator(shape, bots=2, seed=7))
    assert some(Generator(shape, bots=2, seed=7)) != some(Generator(shape, bots=2, seed=8))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_event_is_accepted_and_keyed_as_the_collector_does(shape: Shape) -> None:
    records = some(Generator(shape, users=100, bots=2))
    assert len(records) == 3000
    for (key, _, _), event in zip(records, decoded(records), strict=True):
        assert key == partition_key(event)
        assert event.type
        assert event.timestamp is not None
        assert -5 < event.timestamp.timestamp() - NOW_US / 1e6 < 5


@pytest.mark.parametrize("shape", SHAPES)
def test_there_are_as_many_users_as_asked_for(shape: Shape) -> None:
    assert len({key for key, _, _ in some(Generator(shape, users=50))}) == 50
    assert len({key for key, _, _ in some(Generator(shape, users=50, bots=3))}) == 53


def same_moment(events: list[Event]) -> dict[str | None, int]:
    """Return the most page views of one explicit timestamp by user."""
    views = Counter((e.user_id, e.timestamp) for e in events if e.type in VIEWS)
    most: dict[str | None, int] = {}
    for (user, _), count in views.items():
        most[user] = max(most.get(user, 0), count)
    return most


def test_bots_view_pages_at_one_moment_and_nobody_else_does() -> None:
    found = same_moment(decoded(some(Generator("analytics", users=3, bots=2), 9000)))
    assert {user for user, most in found.items() if most > 1} == {"bot_1", "bot_2"}
    assert found["bot_1"] == BOT_BURST


@pytest.mark.parametrize("shape", SHAPES)
def test_bots_come_with_every_shape(shape: Shape) -> None:
    events = decoded(some(Generator(shape, bots=2)))
    share = sum((e.user_id or "").startswith("bot_") for e in events) / len(events)
    assert 0.05 < share < 0.15


def test_app_events_come_with_and_without_their_fields() -> None:
    events = decoded(some(Generator("app")))
    assert all(event.app_name for event in events)
    for field in ("type", "category", "value"):
        absent = sum(getattr(event, field) in (None, "null") for event in events)
        assert 0 < absent < len(events), field


def clock_of(pace: Pace, seconds: float, step_s: float = 0.01) -> list[int]:
    """Return the batches that a pace gives out when it is asked again and again."""
    given, now = [], 0.0
    while not pace.is_over(now) and now < seconds:
        if size := pace.due(now):
            given.append(size)
        else:
            now += step_s
    return given


@pytest.mark.parametrize(
    ("rate", "seconds", "largest"), [(1000, 3, 50), (7, 2, 1), (100_000, 1, 5000), (30, 0.5, 1)]
)
def test_a_pace_gives_out_exactly_its_events(rate: int, seconds: float, largest: int) -> None:
    given = clock_of(Pace(rate, seconds), seconds + 0.1)
    assert sum(given) == rate * seconds
    assert max(given) == largest


def test_a_pace_makes_up_for_a_second_and_leaves_out_the_rest() -> None:
    pace = Pace(1000)
    assert pace.due(0.02) == 0
    late = 0
    while size := pace.due(10.0):
        late += size
    assert 1000 <= late <= 1100
    assert pace.wait_s(10.0) == pytest.approx(0.05)


class Taking:
    """A target that takes a batch after a while, or refuses every second one."""

    def __init__(self, *, answer_s: float = 0.0, refuses: bool = False) -> None:
        self._answer_s, self._refuses = answer_s, refuses
        self.calls = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    async def send(self, records: Sequence[PackedRecord]) -> Taken:
        self.calls += 1
        await asyncio.sleep(self._answer_s)
        if self._refuses and self.calls % 2:
            raise NotTakenError("HTTP 503", again_s=0.01)
        return Taken(len(records) - 1, 1)


async def run(target: Taking, rate: int, seconds: float) -> tuple[Tally, str]:
    pace = Pace(rate, seconds)
    tally = await Load(Generator("app"), target, pace).run(asyncio.Event())
    return tally, summary(tally, pace)


@pytest.fixture
def all_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out no event, however long the machine does something else."""
    monkeypatch.setattr("app.ingest.generator_run.DEBT_MAX_S", 60.0)


@pytest.mark.usefixtures("all_made_up")
async def test_what_was_taken_and_rejected_is_counted() -> None:
    target = Taking()
    tally, text = await run(target, 100, 0.2)
    assert (tally.sent, target.calls) == (20, 4)
    assert (tally.acknowledged, tally.rejected, tally.failed) == (16, 4, 0)
    assert text.startswith("sent 20, acknowledged 16, rejected 4, failed 0 in ")


def test_a_rate_that_was_reached_is_not_called_in_question() -> None:
    pace = Pace(100, 0.2)
    tally = Tally(sent=20, acknowledged=20, sending_s=0.2, seconds=0.25)
    assert summary(tally, pace) == (
        "sent 20, acknowledged 20, rejected 0, failed 0 in 0.2 s: 80 events/s"
    )
    tally.sending_s = 0.3
    assert summary(tally, pace).endswith("; could not keep up with 100/s")


@pytest.mark.usefixtures("all_made_up")
async def test_what_was_not_acknowledged_is_told_with_its_reason() -> None:
    tally, text = await run(Taking(refuses=True), 100, 0.2)
    assert tally.failed == 10
    assert tally.sent == tally.acknowledged + tally.rejected + tally.failed
    assert "last failure: HTTP 503" in text


async def test_a_slow_receiver_is_no_rate_reached() -> None:
    tally, text = await run(Taking(answer_s=0.8), 10_000, 1)
    assert tally.sent == tally.acknowledged + tally.rejected
    assert "could not keep up with 10000/s" in text


async def test_it_ends_when_asked_and_waits_for_answers() -> None:
    stop = asyncio.Event()
    load = Load(Generator("app"), Taking(answer_s=0.2), Pace(1000))
    running = asyncio.create_task(load.run(stop))
    await asyncio.sleep(0.15)
    stop.set()
    tally = await running
    assert 0 < tally.sent == tally.acknowledged + tally.rejected
