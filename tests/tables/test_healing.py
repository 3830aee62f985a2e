"""A changelog that ends before what RocksDB has of it gets all rows again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from app.counting.counters import Counters
from tables.healing import AGAIN_KEY, TOPIC_KEY, ChangelogCutError, in_chunks
from tables.outcome_row import LOST
from tables.partials import Partials
from tables.sums import SUMS
from tables.totals import Totals
from tests.tables.conftest import SentRecords
from tests.tables.test_partials import absorb

ROW = b"\x04\0\0\0\0\0\0A"


def changelog(table: Any) -> TP:
    """Return the first partition of a table's changelog."""
    return TP(table.changelog_topic.get_topic_name(), 0)


async def recovered(table: Any, sent: SentRecords, last: int) -> None:
    """End a recovery from a changelog whose last record has this offset."""
    table.app.tables = SimpleNamespace(
        recovery=SimpleNamespace(active_highwaters={changelog(table): last})
    )
    healing = asyncio.create_task(table.on_recovery_completed({changelog(table)}, set()))
    while not healing.done():
        await asyncio.sleep(0)
        sent.acknowledge(last + 1)
    await healing


async def written(partials: Partials, counters: Counters, sent: SentRecords) -> int:
    """Count six events, and return the offset of their last changelog record."""
    absorb(partials, counters, 0, 6)
    await partials.flush()
    sent.acknowledge(0)
    await partials.drain()
    last = partials.data.persisted_offset(changelog(partials))
    sent.batches.clear()
    return int(last)


async def test_it_shows_how_far_it_is_while_it_lasts(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    last = await written(partials, counters, sent)
    assert partials.healing is None
    healing = asyncio.create_task(recovered(partials, sent, last - 3))
    seen = set[Any]()
    while not healing.done():
        await asyncio.sleep(0)
        seen.add(partials.healing)
    await healing
    begun = partials.sends - len(sent.batches)
    assert (partials.sends, begun) in seen
    assert (partials.answered, partials.healing) == (partials.sends, None)


async def test_a_changelog_that_was_cut_gets_all_rows_again_and_counts_too(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    last = await written(partials, counters, sent)
    await recovered(partials, sent, last - 3)
    rows = [key for chunk in in_chunks(partials.db(0)) for key, _ in chunk]
    assert len(rows) > 6
    assert sorted(sent.keys(changelog(partials).topic, 0)) == sorted(rows)
    published = {key for number in range(4) for key in sent.keys("counts", number)}
    assert {key[:-2] for key in published} == {row for row in rows if row[0]}
    assert partials.data.persisted_offset(changelog(partials)) == last - 3 + len(rows)
    assert partials.db(0).get(AGAIN_KEY) is None


async def test_a_changelog_that_is_whole_gets_nothing(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    last = await written(partials, counters, sent)
    await recovered(partials, sent, last)
    assert sent.batches == []


async def test_a_worker_that_ends_while_it_sends_rows_again_begins_anew_at_the_next_start(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    last = await written(partials, counters, sent)
    partials.app.tables = SimpleNamespace(
        recovery=SimpleNamespace(active_highwaters={changelog(partials): last - 3})
    )
    healing = asyncio.create_task(partials.on_recovery_completed({changelog(partials)}, set()))
    while not sent.batches:
        await asyncio.sleep(0)
    healing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await healing
    sent.batches.clear()
    partials.forget()
    await recovered(partials, sent, last + 100)  # a part of the rows arrived
    rows = [key for chunk in in_chunks(partials.db(0)) for key, _ in chunk]
    assert sorted(sent.keys(changelog(partials).topic, 0)) == sorted(rows)


async def test_what_sends_rows_again_ends_where_partitions_are_revoked(
    make_totals: Callable[[], Totals], sent: SentRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would end it, and it does not wait for sends that a rebalance forgets."""
    monkeypatch.setattr("tables.healing.CHUNK", 1)
    totals = make_totals()
    for number in range(100):
        totals.db(0).put(ROW + bytes([number]), b"\x80")
    totals.db(0).put(AGAIN_KEY, b"1")
    healing = asyncio.ensure_future(totals.on_recovery_completed({changelog(totals)}, set()))
    waiting = asyncio.ensure_future(asyncio.wait([healing]))  # as Faust does
    while not sent.batches:
        await asyncio.sleep(0)
    totals.app.tables.on_partitions_revoked({changelog(totals)})
    waiting.cancel()
    await asyncio.sleep(0)
    totals.forget()
    sent.batches.clear()  # Kafka never answers
    while not healing.done():
        await asyncio.sleep(0)
        sent.acknowledge(0)
    assert totals.db(0).get(AGAIN_KEY) is not None
    assert not sent.batches


async def test_an_offset_that_kafka_gives_twice_ends_the_worker_and_the_next_start_heals(
    make_totals: Callable[[], Totals], sent: SentRecords
) -> None:
    totals = make_totals()
    await totals.write(0, [(b"\x01a", b"\x80")])
    sent.acknowledge(0)
    await totals.drain()
    await totals.write(0, [(b"\x01b", b"\x80")])
    sent.acknowledge(0)
    with pytest.raises(ChangelogCutError):
        await totals.drain()
    sent.batches.clear()
    totals.forget()
    await recovered(totals, sent, 5)
    assert sent.keys(changelog(totals).topic, 0) == [b"\x01a", b"\x01b"]


async def recovered_both(totals: Totals, sent: SentRecords, last: tuple[int, int]) -> list[Any]:
    """End a recovery of two partitions, and return the keys that are sent again, of each."""
    tps = changelog(totals), TP(changelog(totals).topic, 1)
    sent.batches.clear()
    totals.app.tables = SimpleNamespace(
        recovery=SimpleNamespace(active_highwaters=dict(zip(tps, last, strict=True)))
    )
    healing = asyncio.create_task(totals.on_recovery_completed({*tps}, set()))
    while not healing.done():
        await asyncio.sleep(0)
        sent.acknowledge(6)
    await healing
    return [sent.keys(tp.topic, tp.partition) for tp in tps]


async def test_a_topic_that_was_made_anew_has_lost_the_rows_of_every_partition(
    make_totals: Callable[[], Totals], sent: SentRecords
) -> None:
    """Also of one where it is longer by now than it was."""
    totals = make_totals()
    for partition in (0, 1):
        await totals.write(partition, [(ROW, b"\x80")])
    sent.acknowledge(0)
    await totals.drain()
    totals.db(1).put(SUMS + ROW, b"only here")
    await totals.write(0, [(ROW, b"\x80")])
    sent.acknowledge(0)
    with pytest.raises(ChangelogCutError):
        await totals.drain()
    totals.forget()
    assert await recovered_both(totals, sent, (5, 5)) == [[ROW], [ROW]]


async def test_where_a_recovery_notices_that_it_has_likewise(
    make_totals: Callable[[], Totals], sent: SentRecords
) -> None:
    """Also of one that is as long by now as it was."""
    totals = make_totals()
    for partition in (0, 1):
        await totals.write(partition, [(ROW, b"\x80")])
    sent.acknowledge(0)
    await totals.drain()
    assert await recovered_both(totals, sent, (0, 0)) == [[], []]
    assert await recovered_both(totals, sent, (-1, 0)) == [[ROW], [ROW]]
    assert [totals.db(number).get(AGAIN_KEY) for number in (0, 1)] == [None, None]


async def test_one_that_is_another_topic_is_read_from_its_beginning_and_gets_all_rows_again(
    make_totals: Callable[[], Totals], sent: SentRecords
) -> None:
    totals, tp = make_totals(), changelog(make_totals())
    await totals.write(0, [(ROW, b"\x80")])
    sent.acknowledge(0)
    await totals.drain()
    assert not totals.is_made_anew(tp, b"first"), "of one from before the upgrade nothing is known"
    assert not totals.is_made_anew(tp, b"first")
    assert totals.data.persisted_offset(tp) == 0
    assert totals.is_made_anew(tp, b"second")
    assert totals.data.persisted_offset(tp) is None
    assert not totals.is_made_anew(tp, b"second"), "so does a start after a kill: marks are left"
    sent.batches.clear()
    await recovered(totals, sent, 0)
    assert sent.keys(tp.topic, 0) == [ROW], "and nothing of our own"
    assert totals.db(0).get(TOPIC_KEY) == b"second"


def test_what_moved_on_while_kafka_was_asked_stays_closed(
    make_totals: Callable[[], Totals],
) -> None:
    totals = make_totals()
    assert not totals.is_made_anew(changelog(totals), b"first")
    assert not totals.data._dbs


def test_what_kafka_deleted_unread_is_lost_once(
    make_partials: Callable[[], Partials], counters: Counters
) -> None:
    partials = make_partials()
    absorb(partials, counters, 0, 6)
    for _ in range(2):
        partials.lose(0, 6, 10)
    assert partials.outcomes(0)[0] == 10
    assert partials.outcomes(0)[1][LOST] == 4
    partials.lose(0, 8, 12)
    assert partials.outcomes(0)[1][LOST] == 6


def full_disk(_: object) -> None:
    raise OSError("No space left on device")


async def test_a_recovery_that_fails_ends_the_worker(
    make_totals: Callable[[], Totals], monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = make_totals()
    failed: list[BaseException] = []

    async def fail(exc: BaseException) -> None:
        failed.append(exc)

    totals.app._consumer = SimpleNamespace(fail=fail)
    record = SimpleNamespace(key=b"\0at", value=b"\x80", offset=3, partition=0)
    record.tp = changelog(totals)
    monkeypatch.setattr(totals, "db", lambda _: SimpleNamespace(get=full_disk))
    with pytest.raises(OSError, match="No space"):
        totals.apply_changelog_batch([SimpleNamespace(message=record)])
    await asyncio.sleep(0)
    assert failed
