"""Sessions: parts of a window, batches that come again, recovery, expiry."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import faust
import pytest
from faust.types import TP

from app.event import Event
from tables.sessions import CACHE_MAX, RETENTION_S, Row, Sessions, _encode, merged, row_key
from tests.support.batches import slice_of
from tests.tables.conftest import SentRecords

NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=250_000)
NOW_S, NOW_US = int(NOW.timestamp()), int(NOW.timestamp()) * 1_000_000 + 250_000
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
    await sessions.flush_partition(0)
    found = sessions.read("u", NOW_S - 3600, NOW_S + 1)
    assert found == {
        "s": (NOW_US - 2400 * 1_000_000, NOW_US, 3),
        "t": (NOW_US, NOW_US, 1),
    }
    assert sessions.read("u3", NOW_S - 3600, NOW_S + 1) == {}


async def test_a_window_cuts_a_session_at_whole_seconds(make_sessions: MakeSessions) -> None:
    sessions = make_sessions()
    note(sessions, [event(seconds=n - 0.25) for n in range(1, 100)])
    await sessions.flush_partition(0)
    found = sessions.read("u", NOW_S - 9, NOW_S - 2)
    assert found == {"s": ((NOW_S - 9) * 1_000_000, (NOW_S - 3) * 1_000_000, 7)}
    found = sessions.read("u", NOW_S - 2, NOW_S)
    assert found == {"s": ((NOW_S - 2) * 1_000_000, NOW_US - 750_000, 2)}
    assert sessions.read("u", NOW_S + 1, NOW_S + 9) == {}


async def test_parts_on_several_partitions_are_put_together(make_sessions: MakeSessions) -> None:
    sessions = make_sessions()
    note(sessions, [event(minutes=5), event(minutes=4)])
    note(sessions, [event(minutes=5.5), event()], partition=1)
    for partition in (0, 1):
        await sessions.flush_partition(partition)
    found = sessions.read("u", NOW_S - 3600, NOW_S + 1)
    assert found == {"s": (NOW_US - 330 * 1_000_000, NOW_US, 4)}
    assert merged((1, 5, 2), (0, 3, 1)) == (0, 5, 3)


async def test_the_end_of_one_name_is_not_the_beginning_of_another(
    make_sessions: MakeSessions,
) -> None:
    sessions = make_sessions()
    note(sessions, [event("s", "ü"), event("bs", "a"), event("s", "ab"), event("", "")])
    await sessions.flush_partition(0)
    for user, session in (("ü", "s"), ("a", "bs"), ("ab", "s"), ("", "")):
        assert sessions.read(user, NOW_S, NOW_S + 1) == {session: (NOW_US, NOW_US, 1)}


@pytest.mark.parametrize("seed", range(5))
async def test_batches_that_come_again_add_nothing(make_sessions: MakeSessions, seed: int) -> None:
    dice = random.Random(seed)
    made = [
        event(dice.choice("xyz"), dice.choice("uv"), seconds=dice.randrange(7200))
        for _ in range(300)
    ]
    once = make_sessions()
    note(once, made)
    await once.flush_partition(0)
    expected = {user: once.read(user, NOW_S - 7200, NOW_S + 1) for user in "uv"}
    for key, _ in list(once.db(0).items()):
        once.db(0).delete(key)
    once.forget()
    at = 0
    while at < 300:
        end = min(300, at + dice.randrange(1, 50))
        note(once, made[at:end], at)
        at = end
        if dice.random() < 0.5:
            await once.flush_partition(0)
        if dice.random() < 0.3:
            once.forget()
            at = 0 if dice.random() < 0.2 else at  # read again from what was committed
            note(once, made[:at])
    await once.flush_partition(0)
    assert {user: once.read(user, NOW_S - 7200, NOW_S + 1) for user in "uv"} == expected


async def test_a_row_that_comes_again_is_sent_again(
    make_sessions: MakeSessions, sent: SentRecords
) -> None:
    sessions = make_sessions()
    for _ in range(2):
        note(sessions, [event(), event("t")])
        await sessions.flush_partition(0)
        sessions.forget()  # Kafka had none of it
    (_, _, first, _), (_, _, second, _) = sent.batches
    assert first.record_count() == second.record_count() == 2


def test_recovery_keeps_the_value_that_read_further(make_sessions: MakeSessions) -> None:
    sessions, key = make_sessions(), row_key(("u", "s", NOW_S // 600))
    rows = [
        Row(offset, NOW_US, NOW_US, {1800: count}) for offset, count in ((5, 2), (9, 4), (7, 3))
    ]
    records = [SimpleNamespace(key=key, value=_encode(row)) for row in rows]
    body = SimpleNamespace(tp=TP("t-sessions-changelog", 0), partition=0, offset=2, value=records)
    sessions.apply_changelog_batch([SimpleNamespace(message=body)])
    assert sessions.read("u", NOW_S, NOW_S + 1) == {"s": (NOW_US, NOW_US, 4)}


async def test_hours_past_the_retention_go_also_after_a_restart(
    make_sessions: MakeSessions, sent: SentRecords
) -> None:
    sessions = make_sessions()
    days = RETENTION_S / 86_400
    note(sessions, [event(), event(days=days - 0.1), event(days=days + 1)])
    assert sessions.waiting == 2, "what is too old is not taken in"
    note(sessions, [event("old", hours=1)], 3)
    sessions.note(0, slice_of([event(days=days + 1)], first=4), 0.0)  # at that time it was not
    await sessions.flush_partition(0)
    sessions.data._dbs.clear()
    del sessions
    gc.collect()  # closes RocksDB
    sessions = make_sessions()
    written = len(sent.batches)
    assert await sessions.expire([0]) == 1
    assert len(sent.batches) == written + 1, "a tombstone"
    assert len(list(sessions.db(0).items())) == 3
    assert await sessions.expire([0]) == 0


async def test_the_cache_forgets_rows_that_are_written(make_sessions: MakeSessions) -> None:
    sessions = make_sessions()
    note(sessions, [event(str(n)) for n in range(CACHE_MAX + 1)])
    await sessions.flush_partition(0)
    assert not sessions._cache[0]
    note(sessions, [event(str(n)) for n in range(10)], CACHE_MAX + 1)
    await sessions.flush_partition(0)
    assert sessions.read("u", NOW_S, NOW_S + 1)["7"][2] == 2
