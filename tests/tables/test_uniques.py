"""Distinct users in their table: merging, what is written when, reading, expiry, recovery."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import faust
import pytest

from app.counting.stats_window import Month, Window, split
from app.counting.uniques import AD_VISITORS, LEVELS, METRICS, Accumulator, Estimate, decode_sketch
from app.events.derived import AD_IMPRESSION
from app.events.event import Event
from tables.partials import Partials
from tables.unique_deltas import WEIGHT, UniqueDeltas
from tables.uniques import LIVE_MAX, Uniques
from tests.support.batches import slice_of
from tests.support.tables import recover
from tests.tables.conftest import SentRecords

NOW = datetime.now(UTC)
MakeUniques = Callable[[], Uniques]


@pytest.fixture
def make_uniques(make_app: Callable[[], faust.App]) -> MakeUniques:
    return lambda: Uniques.create(make_app(), "uniques", 4, "")


def records(users: Iterable[str], ad_id: str | None = None, **ago: int) -> list[Any]:
    """Return the records of `uniques` that impressions give rise to."""
    accumulator, at = Accumulator(), NOW - timedelta(**ago)
    events = [Event(type=AD_IMPRESSION, user_id=u, ad_id=ad_id, timestamp=at) for u in users]
    accumulator.note(slice_of(events), NOW.timestamp())
    return [SimpleNamespace(key=row, value=sketch) for row, sketch in accumulator.take().items()]


def merge(uniques: Uniques, found: list[Any], key: str = "") -> list[int]:
    """Merge records into the partition of a key; return where done() is noted."""
    done: list[int] = []
    uniques.merge(uniques.partition_of(key), found)
    uniques.merged(uniques.partition_of(key), 7, lambda: done.append(1))
    return done


def active(uniques: Uniques, window: int, **ago: int) -> Estimate:
    at = int((NOW - timedelta(**ago)).timestamp())
    return uniques.active_users(split(Window(at, window), NOW.timestamp(), LEVELS))


def of_ad(uniques: Uniques, ad_id: str | None = "34") -> int:
    return uniques.visitors(Month.of(int(NOW.timestamp())), ad_id).users


async def test_a_window_holds_the_users_of_its_buckets_each_once(make_uniques: MakeUniques) -> None:
    uniques = make_uniques()
    merge(uniques, records("abc") + records("cd", seconds=30) + records("de", minutes=20))
    merge(uniques, records("ef", hours=30) + records("gh", days=20))
    for _ in range(2):  # from memory, from RocksDB
        sizes = (10, 31, 3600, 2 * 86_400, 31 * 86_400)
        assert [active(uniques, size).users for size in sizes] == [3, 4, 5, 6, 8]
        assert active(uniques, 10, minutes=5) == (0, 0.0)
        await uniques.flush()
        uniques.forget()


async def test_a_batch_is_done_once_it_is_on_its_way(
    make_uniques: MakeUniques, sent: SentRecords
) -> None:
    uniques = make_uniques()
    done: list[int] = []
    partition = uniques.partition_of("")
    uniques.merge(partition, records("ab"))
    uniques.merged(partition, 7, lambda: done.append(len(sent.batches)))
    assert not done
    await uniques.flush()
    assert done == [1]
    committing = asyncio.create_task(uniques.before_commit())
    await asyncio.sleep(0.01)
    assert not committing.done()
    sent.acknowledge()
    await committing


async def test_sketches_that_come_again_change_nothing_and_are_not_written_again(
    make_uniques: MakeUniques, sent: SentRecords
) -> None:
    uniques = make_uniques()
    merge(uniques, records("ab"))
    await uniques.flush()
    before = len(sent.batches)
    assert merge(uniques, records("ab")) == []
    await uniques.flush()
    assert active(uniques, 10).users == 2
    assert len(sent.batches) == before
    merge(uniques, records("abc"))
    await uniques.flush()
    assert len(sent.batches) == before + 1


async def test_rows_met_in_a_replay_are_sent_again_although_rocksdb_has_them(
    make_uniques: MakeUniques, sent: SentRecords
) -> None:
    uniques = make_uniques()
    merge(uniques, records("ab"))
    await uniques.flush()
    before = len(sent.batches)
    uniques.forget()  # as a rebalance does; the changelog may not have what was sent
    merge(uniques, records("ab"))
    await uniques.flush()
    assert len(sent.batches) == before + 1


async def test_a_row_that_left_the_memory_is_added_to_all_the_same(
    make_uniques: MakeUniques,
) -> None:
    uniques = make_uniques()
    partition = uniques.partition_of("34")
    merge(uniques, records("ab", "34"), "34")
    await uniques.flush()
    for number in range(LIVE_MAX + 1):
        merge(uniques, records("z", f"x{number}"), "34")
    await uniques.flush()
    assert not any(uniques.live(partition, metric) for metric in METRICS)
    assert of_ad(uniques) == 2
    merge(uniques, records("bc", "34"), "34")
    assert of_ad(uniques) == 3
    await uniques.flush()
    uniques.forget()
    assert of_ad(uniques) == 3
    assert of_ad(uniques, "unknown") == 0


async def test_changes_name_the_ads_with_new_impressions(make_uniques: MakeUniques) -> None:
    uniques = make_uniques()
    changes = uniques.watch(AD_VISITORS)
    merge(uniques, records("ab", "34") + records("c", "35"), "34")
    rows, position = changes.take(uniques.partition_of("34"))
    assert position == 7
    assert len(rows) == 2
    for _ in range(2):  # what is taken and not flushed is a row, too, where all are written anew
        found = [row.key for row in uniques.rows_of(AD_VISITORS, uniques.partition_of("34"))]
        assert sorted(found) == ["34", "35"]
        await uniques.flush()


async def test_buckets_past_their_retention_go_and_months_stay(
    make_uniques: MakeUniques, monkeypatch: pytest.MonkeyPatch
) -> None:
    uniques = make_uniques()
    merge(uniques, records("ab", "34"))
    await uniques.flush()
    partition = uniques.partition_of("")
    assert await uniques.expire([partition]) == 0
    for days, left in ((0.2, 3), (3.0, 2), (64.0, 0)):
        later = (NOW + timedelta(days=days)).timestamp()
        monkeypatch.setattr("tables.expiring.time", lambda later=later: later)
        await uniques.expire([partition])
        found = [row for row, _ in uniques.db(partition).items() if row[0] == 1]
        assert len(found) == left
    assert uniques.users_of(partition, records("ab", "34")[1].key).users == 2


async def test_recovery_unites_what_the_disk_and_the_changelog_hold(
    make_uniques: MakeUniques,
) -> None:
    uniques = make_uniques()
    old, new = (records(users, "34")[1].value for users in ("ab", "bc"))
    partition = uniques.partition_of("34")
    row = records("a", "34")[1].key
    for offset, value in enumerate((old, new)):
        recover(uniques, [(row, value)], offset, partition)
    assert of_ad(uniques) == 3
    assert decode_sketch(uniques.merge_values(old, new)).get_estimate() == 3
    assert uniques.merge_values(old, old) == old


async def test_deltas_go_to_the_owners_of_their_keys_with_the_flush_of_the_partials(
    make_partials: Callable[[], Partials], sent: SentRecords
) -> None:
    partials = make_partials()
    deltas = UniqueDeltas(partials, "uniques", 4)
    events = [Event(type=AD_IMPRESSION, user_id="a", ad_id=str(n), timestamp=NOW) for n in range(9)]
    deltas.note(2, slice_of(events), NOW.timestamp())
    assert deltas.waiting == 11 * WEIGHT
    committable: list[int] = []
    partials.absorbed(2, 9, lambda: committable.append(len(sent.batches)))
    await partials.flush()
    assert committable == [len(sent.batches)]
    assert deltas.waiting == 0
    committing = asyncio.create_task(partials.before_commit())
    for topic, partition, _, acknowledged in sent.batches:
        await asyncio.sleep(0.001)
        assert not committing.done()
        acknowledged.set_result(SimpleNamespace(offset=0, partition=partition, topic=topic))
    await committing
    assert sent.topics().count("uniques") == len({p for t, p, *_ in sent.batches if t == "uniques"})
    deltas.note(2, slice_of(events), NOW.timestamp())
    partials.forget()
    assert deltas.waiting == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, None),
        (b"junk", b"junk"),
        (None, b"junk"),
        (b"", b""),
        (b"\x09\0\0\0\0\0", None),
        (b"\x02\0\0\0\0\0ad", None),
        (b"\x02\x04\0\0\0\0\xff", None),
    ],
)
async def test_a_record_of_somebody_else_is_left_out(
    make_uniques: MakeUniques, key: bytes | None, value: bytes | None
) -> None:
    uniques, good = make_uniques(), records("abc")
    if key is not None and value is None:
        value = good[0].value
    if value == b"junk" and key is None:
        key = good[0].key
    junk = SimpleNamespace(topic="uniques", partition=0, offset=7, key=key, value=value)
    assert merge(uniques, [junk, *good, junk]) == []
    assert active(uniques, 60).users == 3
