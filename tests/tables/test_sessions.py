"""Sessions: parts of a window, batches that come again, recovery, expiry."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import faust
import pytest
from faust.stores.rocksdb import Store
from faust.types import TP

import tables.turns
from app.errors import RecoveringError
from app.events.event import Event
from tables.sessions import OPEN_MAX, RETENTION_S, ROW_BYTES, ROW_EVENTS, Sessions, merged, row_key
from tests.support.batches import slice_of
from tests.support.tables import close
from tests.support.turns import turns_of
from tests.tables.conftest import SentRecords

NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=250_000)
NOW_S, NOW_US = int(NOW.timestamp()), int(NOW.timestamp()) * 1_000_000 + 250_000
OFFSET_KEY = Store.offset_key
MakeSessions = Callable[[], Sessions]


@pytest.fixture
def make_sessions(make_app: Callable[[], faust.App]) -> MakeSessions:
    return lambda: Sessions.create(make_app(), "sessions", 4, "", owned=lambda: [0, 1])


def event(session: str | None = "s", user: str | None = "u", **ago: float) -> Event:
    return Event(type="A", user_id=user, session_id=session, timestamp=NOW - timedelta(**ago))


def note(sessions: Sessions, events: Iterable[Event], first: int = 0, partition: int = 0) -> None:
    sessions.note(partition, slice_of(events, first=first), NOW.timestamp())


async def test_a_session_has_its_first_and_last_moment_and_its_events(
    make_sessions: MakeSessions,
) -> None:
    sessions = make_sessions()
    note(sessions, [event(), event("t"), event(None), event("s", None), event("s", "u2")])
    note(sessions, [event(minutes=25), event(minutes=40)], 5)
    await sessions.flush(0)
    found = await sessions.read("u", NOW_S - 3600, NOW_S + 1)
    assert found == {
        "s": (NOW_US - 2400 * 1_000_000, NOW_US, 3),
        "t": (NOW_US, NOW_US, 1),
    }
    assert await sessions.read("u3", NOW_S - 3600, NOW_S + 1) == {}


async def test_a_window_cuts_a_session(make_sessions: MakeSessions) -> None:
    sessions = make_sessions()
    note(sessions, [event(seconds=n - 0.25) for n in range(1, 100)])
    await sessions.flush(0)
    found = await sessions.read("u", NOW_S - 9, NOW_S - 2)
    first, last = NOW_US - 8_750_000, NOW_US - 2_750_000
    assert found == {"s": (first, last, 7)}
    found = await sessions.read("u", NOW_S - 2, NOW_S)
    assert found == {"s": (NOW_US - 1_750_000, NOW_US - 750_000, 2)}
    assert await sessions.read("u", NOW_S + 1, NOW_S + 9) == {}


async def test_parts_on_several_partitions_are_put_together(make_sessions: MakeSessions) -> None:
    sessions = make_sessions()
    note(sessions, [event(minutes=5), event(minutes=4)])
    note(sessions, [event(minutes=5.5), event()], partition=1)
    for partition in (0, 1):
        await sessions.flush(partition)
    found = await sessions.read("u", NOW_S - 3600, NOW_S + 1)
    assert found == {"s": (NOW_US - 330 * 1_000_000, NOW_US, 4)}
    assert merged((1, 5, 2), (0, 3, 1)) == (0, 5, 3)


async def test_the_end_of_one_name_is_not_the_beginning_of_another(
    make_sessions: MakeSessions,
) -> None:
    sessions = make_sessions()
    note(sessions, [event("s", "ü"), event("bs", "a"), event("s", "ab"), event("", "")])
    await sessions.flush(0)
    for user, session in (("ü", "s"), ("a", "bs"), ("ab", "s"), ("", "")):
        assert await sessions.read(user, NOW_S, NOW_S + 1) == {session: (NOW_US, NOW_US, 1)}


@pytest.mark.parametrize("seed", range(5))
async def test_batches_that_come_again_add_nothing(make_sessions: MakeSessions, seed: int) -> None:
    dice = random.Random(seed)
    made = [
        event(dice.choice("xyz"), dice.choice("uv"), seconds=dice.randrange(7200))
        for _ in range(300)
    ]
    once = make_sessions()
    note(once, made)
    await once.flush(0)
    expected = {user: await once.read(user, NOW_S - 7200, NOW_S + 1) for user in "uv"}
    for key, _ in list(once.db(0).items()):
        once.db(0).delete(key)
    once.forget()
    at = 0
    while at < 300:
        end = min(300, at + dice.randrange(1, 50))
        note(once, made[at:end], at)
        at = end
        if dice.random() < 0.5:
            await once.flush(0)
        if dice.random() < 0.3:
            once.forget()
            at = 0 if dice.random() < 0.2 else at  # read again from what was committed
            note(once, made[:at])
    await once.flush(0)
    assert {user: await once.read(user, NOW_S - 7200, NOW_S + 1) for user in "uv"} == expected


async def test_a_row_that_comes_again_is_sent_again(
    make_sessions: MakeSessions, sent: SentRecords
) -> None:
    sessions = make_sessions()
    for _ in range(2):
        note(sessions, [event(), event("t")])
        await sessions.flush(0)
        sessions.forget()  # Kafka had none of it
    (_, _, first, _), (_, _, second, _) = sent.batches
    assert first.record_count() == second.record_count() == 1


async def test_recovery_keeps_the_value_that_read_further(
    make_sessions: MakeSessions, sent: SentRecords
) -> None:
    sessions, values = make_sessions(), []
    for n in range(3):
        note(sessions, [event(seconds=n)], 5 + n)
        await sessions.flush(0)
        ((key, value),) = sessions.db(0).items()
        values.append(value)
    assert key == row_key(NOW_S // 3600 * 3600, "u", 5)
    assert len(sent.batches) == 3
    records = [SimpleNamespace(key=key, value=values[n]) for n in (1, 2, 0)]
    body = SimpleNamespace(tp=TP("t-sessions-changelog", 1), partition=1, offset=2, value=records)
    sessions.apply_changelog_batch([SimpleNamespace(message=body)])
    sessions.apply_changelog_batch([SimpleNamespace(message=body)])
    assert sessions.db(1).get(key) == values[2]
    last = SimpleNamespace(**vars(body) | {"offset": 3, "value": records[1:2]})
    sessions.apply_changelog_batch([SimpleNamespace(message=last)])
    assert await sessions.expire([1]) == 0
    assert sessions.db(1).get(OFFSET_KEY), "what Faust keeps there is no hour"


async def test_a_row_that_is_long_is_not_written_again(make_sessions: MakeSessions) -> None:
    sessions = make_sessions()
    for n in range(3 * ROW_EVENTS):
        note(sessions, [event()], n)
        await sessions.flush(0)
    firsts = [int.from_bytes(key[-8:]) for key in dict(sessions.db(0).items())]
    assert firsts == [0, ROW_EVENTS, 2 * ROW_EVENTS]
    assert await sessions.read("u", NOW_S, NOW_S + 1) == {"s": (NOW_US, NOW_US, 3 * ROW_EVENTS)}


async def test_others_have_their_turn_while_many_rows_are_read(
    make_sessions: MakeSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.turns, "TURN_S", -1)  # between any two rows
    sessions, rows = make_sessions(), 100
    for n in range(rows * ROW_EVENTS):
        note(sessions, [event(str(n))], n)
        if n % ROW_EVENTS == ROW_EVENTS - 1:
            await sessions.flush(0)
    assert await turns_of(sessions.read("u", NOW_S, NOW_S + 1)) > rows * ROW_EVENTS + rows

    def moved() -> None:
        raise RecoveringError("moved")

    with pytest.raises(RecoveringError):
        await sessions.read("u", NOW_S, NOW_S + 1, moved)


async def test_rows_that_would_be_too_long_are_cut(make_sessions: MakeSessions) -> None:
    sessions, longest, many = make_sessions(), "x" * 30_000, ROW_BYTES // 5
    note(sessions, [event(longest + str(n)) for n in range(20)])
    note(sessions, [event() for _ in range(many)], 20)
    await sessions.flush(0)
    sizes = [len(value) for value in dict(sessions.db(0).items()).values()]
    assert len(sizes) > 4
    assert max(sizes) < ROW_BYTES + 40_000
    found = await sessions.read("u", NOW_S, NOW_S + 1)
    assert len(found) == 21
    assert found["s"][2] == many
    sessions.forget()
    note(sessions, [event() for _ in range(many)], 20)  # cut at other places
    await sessions.flush(0)
    assert await sessions.read("u", NOW_S, NOW_S + 1) == found


async def test_hours_past_the_retention_go_also_after_a_restart(
    make_sessions: MakeSessions, sent: SentRecords
) -> None:
    sessions = make_sessions()
    days = RETENTION_S / 86_400
    note(sessions, [event(), event(days=days - 0.1), event(days=days + 1)])
    assert sessions.waiting == 2, "what is too old is not taken in"
    note(sessions, [event("old", hours=1)], 3)
    sessions.note(0, slice_of([event(days=days + 1)], first=4), 0.0)  # at that time it was not
    await sessions.flush(0)
    close(sessions)
    sessions = make_sessions()
    written = len(sent.batches)
    assert await sessions.expire([0]) == 1
    assert len(sent.batches) == written + 1, "a tombstone"
    assert len(list(sessions.db(0).items())) == 3
    assert await sessions.expire([0]) == 0


async def test_nothing_expires_by_a_clock_that_was_never_set(make_sessions: MakeSessions) -> None:
    sessions = make_sessions()
    for now in (0.0, float(RETENTION_S)):
        ((begin, end),) = sessions.expired(0, now)
        assert begin >= end


async def test_rows_that_are_written_do_not_stay_in_memory(make_sessions: MakeSessions) -> None:
    sessions = make_sessions()
    note(sessions, [event(user=str(n)) for n in range(OPEN_MAX + 1)])
    await sessions.flush(0)
    assert not sessions.opened[0]
    note(sessions, [event(user=str(n)) for n in range(10)], OPEN_MAX + 1)
    await sessions.flush(0)
    assert (await sessions.read("7", NOW_S, NOW_S + 1))["s"][2] == 2
