"""What the rules remember: after a restart, in recovery, and how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from time import time
from types import SimpleNamespace

import faust
import msgspec
import pytest
from faust.types import TP

from app.counting.rules import BOT_MEMORY, Memory, judge
from app.events.batches import Slice
from app.events.event import Event
from tables.judged import (
    CACHE_MAX,
    CHUNK,
    CHUNK_BYTES,
    CLICKS,
    MARGIN_S,
    TRIM_EVERY,
    USERS_MAX,
    VIEWS,
    JudgedTable,
)
from tests.support.batches import slice_of
from tests.support.tables import close
from tests.tables.conftest import SentRecords

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOON_S = int(NOON.timestamp())
MakeJudged = Callable[[], JudgedTable]


@pytest.fixture
def committed() -> dict[int, int]:
    return {}


@pytest.fixture
def make_judged(make_app: Callable[[], faust.App], committed: dict[int, int]) -> MakeJudged:
    return lambda: JudgedTable.create(
        make_app(), "judged", 4, "", bot_limit=10, committed=lambda p: committed.get(p, 0)
    )


def events(first: int, end: int, users: Sequence[str] = "ab", **ago: float) -> Slice:
    """Return page views and ad clicks of a user in turn."""
    made = []
    for at in range(first, end):
        user, time = users[at // 2 % len(users)], NOON - timedelta(**ago)
        kind = "VIEW" if at % 2 else "AdClick"
        made.append(Event(type=kind, user_id=user, ad_id="3", timestamp=time))
    return slice_of(made, first=first, received=[NOON_S + 1.0] * len(made))


def verdicts(judged: JudgedTable, part: Slice) -> tuple[list[int], list[int]]:
    found = judged.judge(0, part)
    return list(found.bot.offsets), list(found.counted_click.offsets)


def reopened(judged: JudgedTable, make: MakeJudged) -> JudgedTable:
    close(judged)
    return make()


async def test_verdicts_go_on_after_a_restart(make_judged: MakeJudged) -> None:
    at_once = judge(events(0, 80), Memory(), 10)
    whole = list(at_once.bot.offsets), list(at_once.counted_click.offsets)
    assert whole[0] == [*range(41, 80, 2)]
    judged = make_judged()
    found: tuple[list[int], list[int]] = ([], [])
    for first in range(0, 80, 10):
        bots, clicks = verdicts(judged, events(first, first + 10))
        found = (found[0] + bots, found[1] + clicks)
        await judged.flush(0)
        judged = reopened(judged, make_judged)
    assert found == whole


async def test_what_was_not_flushed_is_judged_again(make_judged: MakeJudged) -> None:
    judged = make_judged()
    parts = [verdicts(judged, events(*span)) for span in ((0, 20), (20, 60))]
    whole = tuple(first + second for first, second in zip(*parts, strict=True))
    await judged.flush(0)  # the partials were not
    judged.forget()
    assert verdicts(judged, events(0, 60)) == whole
    judged.forget()
    assert verdicts(judged, events(20, 60)) == tuple(
        [offset for offset in part if offset >= 20] for part in whole
    )


async def test_what_came_again_is_sent_again_in_the_same_rows(
    make_judged: MakeJudged, sent: SentRecords
) -> None:
    judged = make_judged()
    for _ in range(2):
        judged.judge(0, events(0, 60))
        await judged.flush(0)
        judged.forget()  # Kafka had none of it
    (_, _, first, _), (_, _, second, _) = sent.batches
    assert first.record_count() == second.record_count() == 3


async def test_a_changelog_makes_the_same_memory(make_judged: MakeJudged) -> None:
    judged = make_judged()
    whole = verdicts(judged, events(0, 60))
    judged.forget()
    for first, end in ((0, 20), (20, 40), (0, 30), (30, 60)):
        judged.judge(0, events(first, end))
        await judged.flush(0)
    rows = [SimpleNamespace(key=key, value=value) for key, value in rows_of(judged, 0).items()]
    tp = TP("t-judged-changelog", 1)
    body = SimpleNamespace(tp=tp, partition=1, offset=9, value=[*rows, *rows[::-1]])
    judged.apply_changelog_batch([SimpleNamespace(message=body)])
    found = judged.judge(1, events(0, 60))
    assert (list(found.bot.offsets), list(found.counted_click.offsets)) == whole
    assert rows_of(judged, 1) == rows_of(judged, 0)


def rows_of(judged: JudgedTable, partition: int) -> dict[bytes, bytes]:
    rows = judged.db(partition).items()
    return {key: value for key, value in rows if key.startswith((VIEWS, CLICKS))}


def test_recovery_keeps_what_any_owner_knew_of_clicks(make_judged: MakeJudged) -> None:
    judged, encode = make_judged(), msgspec.msgpack.encode
    oldest, old, new = (3, [7, 9]), ([7, 10, 11], [3, 5, 5]), ([11, 13], [5, 6])
    values = [encode(value) for value in (oldest, old, new)]
    for order in permutations(values):
        merged = judged.merge_values(judged.merge_values(*order[:2]), order[2])
        assert msgspec.msgpack.decode(merged) == [[0, 7, 8, 10, 11, 13], [3, 3, 4, 5, 5, 6]]
    view = encode([("u", 0, 7)])
    assert judged.merge_values(view, view) == view


async def test_clicks_that_an_older_version_remembered_go_on(make_judged: MakeJudged) -> None:
    judged = make_judged()
    judged.db(0).put(b"ca", msgspec.msgpack.encode((7, [20, 22])))
    assert verdicts(judged, events(20, 32, "a"))[1] == [22, 28]  # the 9th and the 12th
    await judged.flush(0)
    assert msgspec.msgpack.decode(judged.db(0).get(b"ca")) == [[0, 21, 23, 32], [7, 8, 9, 13]]


async def test_clicks_are_known_only_from_the_committed_position_on(
    make_judged: MakeJudged, committed: dict[int, int]
) -> None:
    judged = make_judged()
    for first in range(0, 100, 10):
        judged.judge(0, events(first, first + 10, "a"))
        await judged.flush(0)
        committed[0] = first + 10
    assert msgspec.msgpack.decode(judged.db(0).get(b"ca")) == [[90, 100], [45, 50]]


def stored_seconds(judged: JudgedTable) -> set[int]:
    return {CHUNK.unpack(key)[1] for key, _ in judged.db(0).items() if key.startswith(VIEWS)}


async def test_views_go_once_no_later_one_is_compared_with_them(
    make_judged: MakeJudged, committed: dict[int, int], sent: SentRecords
) -> None:
    """By the time of the records that are committed, also after a restart, and for good."""
    judged = make_judged()
    judged.judge(0, events(0, 10, hours=1))
    judged.judge(0, events(10, 20))
    await judged.flush(0)
    gone_at = NOON_S - 3600 + BOT_MEMORY + MARGIN_S
    judged.passed(0, 20, gone_at - 1)
    judged.passed(0, 30, gone_at + 1)
    committed[0] = 20
    assert await judged.expire([0]) == 0
    judged = reopened(judged, make_judged)
    assert await judged.expire([0]) == 0
    judged.judge(0, events(10, 20))
    judged.passed(0, 30, gone_at + 1)
    assert await judged.expire([0]) == 0, "not committed: a replay may need them"
    committed[0] = 30
    written = len(sent.batches)
    assert await judged.expire([0]) == 1
    assert len(sent.batches) == written + 1, "a tombstone"
    assert stored_seconds(judged) == {NOON_S}
    assert await judged.expire([0]) == 0


async def test_a_record_from_the_future_makes_nothing_forgotten(
    make_judged: MakeJudged, committed: dict[int, int]
) -> None:
    judged = make_judged()
    judged.judge(0, slice_of([Event(type="VIEW", user_id="u", timestamp=soon())], received=[0.0]))
    await judged.flush(0)
    judged.passed(0, 1, time() + 10 * BOT_MEMORY)
    committed[0] = 1
    assert await judged.expire([0]) == 0


def soon() -> datetime:
    return datetime.fromtimestamp(int(time()) - 60, UTC)


async def test_the_cache_keeps_the_seconds_that_were_used_last(make_judged: MakeJudged) -> None:
    judged, views = make_judged(), TRIM_EVERY + 1
    for hours in range(CACHE_MAX // views + 2):
        made = [
            Event(type="VIEW", user_id=str(n), timestamp=NOON - timedelta(hours=hours))
            for n in range(views)
        ]
        part = slice_of(made, first=hours * views, received=[NOON_S + 1.0] * views)
        judged.judge(0, part)
        await judged.flush(0)
    kept = judged.memory[0].views
    assert sum(map(len, kept.values())) <= CACHE_MAX
    assert NOON_S not in kept
    assert NOON_S - hours * 3600 in kept
    assert len(stored_seconds(judged)) == hours + 1


async def test_users_who_only_click_are_kept_within_bounds(make_judged: MakeJudged) -> None:
    judged, users = make_judged(), TRIM_EVERY + 1
    for step in range(USERS_MAX // users + 2):
        made = [Event(type="AdClick", user_id=f"{step} {n}", ad_id="3") for n in range(users)]
        judged.judge(0, slice_of(made, first=step * users, received=[NOON_S + 1.0] * users))
        await judged.flush(0)
    assert len(judged.memory[0].clicks) <= USERS_MAX


async def test_a_second_with_very_many_views_has_rows_of_bounded_size(
    make_judged: MakeJudged,
) -> None:
    judged, users = make_judged(), [f"{n:0>120}" for n in range(3000)]
    made = [Event(type="VIEW", user_id=user, timestamp=NOON) for user in users]
    part = slice_of(made, received=[NOON_S + 1.0] * 3000)
    judged.judge(0, part)
    await judged.flush(0)
    rows = [value for _, value in judged.db(0).items()]
    assert len(rows) > 1
    assert max(map(len, rows)) <= CHUNK_BYTES
    judged.forget()
    for again in range(1, 11):
        later = replace(part, offsets=range(again * 3000, again * 3000 + 3000))
        assert len(judged.judge(0, later).bot.events) == (3000 if again == 10 else 0)


def test_a_long_user_is_remembered_by_its_digest(make_judged: MakeJudged) -> None:
    judged, user = make_judged(), "u" * 30_000
    rows = [(user, 0, n) for n in range(5)]  # as they were written before there were digests
    key = CHUNK.pack(VIEWS, NOON_S, 0, 4)
    judged.db(0).put(key, msgspec.msgpack.encode(rows))
    found = judged.judge(0, events(0, 30, (user,)))
    assert len(found.bot.events) == 8, "all but the two that were accepted, and five more"
    memory = judged.memory[0]
    assert max(len(one) for second in memory.views.values() for one in second.first) < 64
    assert max(len(one) for views in memory.fresh.values() for one, *_ in views) < 64
