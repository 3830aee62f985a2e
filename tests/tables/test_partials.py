"""Partial counts: a batch that comes again, in part, or after a crash in the middle of a flush."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import tables.expiring
from app.counting.carried import parted
from app.counting.counters import Counters
from app.counting.row_keys import MARK, SOURCE
from app.counting.spec import Rows
from app.errors import SettingsError
from app.events.event import Event
from app.settings import Settings
from tables.batch_table import BatchTable
from tables.counters import declare
from tables.expiring import EXPIRE_CHUNK
from tables.layout import LAYOUT
from tables.partial_values import FoldRange
from tables.partials import Partials
from tables.scans import scan_keys
from tests.support.batches import judged
from tests.support.tables import close
from tests.tables.conftest import SentRecords

NOW = datetime(2024, 3, 15, 12, tzinfo=UTC)
URLS = ["/a", "/b", "/a", "/c", "/a", "/b"]


def fold_of(counters: Counters, folded: list[int] | None = None, urls: int = 0) -> FoldRange:
    """Return the fold of events whose urls follow from their offsets; it notes how many it folds.

    urls: each offset has one of so many; 0: URLS.
    """

    def fold(begin: int, after: int) -> Rows:
        events = [
            Event(type="VIEW", url=f"/{at % urls}" if urls else URLS[at % len(URLS)], timestamp=NOW)
            for at in range(begin + 1, after + 1)
        ]
        if folded is not None:
            folded.append(len(events))
        return counters.fold(judged(events), NOW.timestamp())

    return fold


def absorb(
    partials: Partials, counters: Counters, first: int, end: int, partition: int = 0
) -> None:
    """Absorb the events at the offsets [first, end); the url of each follows from its offset."""
    partials.absorb(partition, first, end - 1, fold_of(counters))
    partials.absorbed(partition, end, lambda: None)


def counted(partials: Partials, counters: Counters) -> dict[str, int]:
    """Return {url: events} of partition 0."""
    spec = counters["events_by_url_hourly"]
    found = {}
    for url in sorted(set(URLS)):
        row = spec.keys.row(url, spec.place(int(NOW.timestamp()))[0], "VIEW")
        cells = partials.load(0, [row])[row].cells
        if cells:
            found[url] = sum(parted(cells)[0].values())
    return found


def expected(end: int) -> dict[str, int]:
    seen = [URLS[at % len(URLS)] for at in range(end)]
    return {url: seen.count(url) for url in sorted(set(seen))}


@pytest.mark.parametrize(
    "batches",
    [
        [(0, 10), (10, 30)],
        [(0, 10), (0, 10)],
        [(0, 10), (5, 20)],
        [(0, 10), (0, 30)],
        [(0, 4), (2, 3), (4, 5), (0, 12)],
        [(0, 30), (3, 10), (10, 30)],
    ],
)
def test_events_that_come_again_are_not_counted_again(
    make_partials: Callable[[], Partials], counters: Counters, batches: list[tuple[int, int]]
) -> None:
    partials = make_partials()
    for first, end in batches:
        absorb(partials, counters, first, end)
    assert counted(partials, counters) == expected(max(end for _, end in batches))


def test_a_replay_of_many_small_batches_looks_at_each_event_twice_at_most(
    make_partials: Callable[[], Partials], counters: Counters
) -> None:
    partials, folded = make_partials(), list[int]()
    fold = fold_of(counters, folded, urls=700)
    for first in range(0, 2000, 10):
        partials.absorb(0, first, first + 9, fold)
    before = {row: dict(one.cells) for row, one in partials.load(0, ()).items()}
    folded.clear()
    partials.absorb(0, 0, 1999, fold)
    assert sum(folded) <= 2 * 2000, "distinct offsets x events otherwise"
    assert {row: one.cells for row, one in partials.load(0, ()).items()} == before
    assert {one.last for row, one in partials.load(0, ()).items() if row != LAYOUT} == {1999}


async def test_a_replay_changes_nothing_and_is_sent_again(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    absorb(partials, counters, 0, 10)
    await partials.flush()
    first = len(sent.batches)
    partials.forget()  # the worker died before Kafka had any of it
    absorb(partials, counters, 0, 10)
    await partials.flush()
    assert counted(partials, counters) == expected(10)
    assert sorted(sent.topics()[first:]) == sorted(sent.topics()[:first]), "lost for good otherwise"


async def test_counts_are_sent_before_the_table_remembers_the_offset(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    absorb(partials, counters, 0, 10)
    await partials.flush()
    changelog = partials.changelog_topic_name
    assert sent.topics()[-1] == changelog
    assert set(sent.topics()[:-1]) == {"counts"}


async def test_a_flushed_row_is_there_after_a_restart(
    make_partials: Callable[[], Partials], counters: Counters
) -> None:
    partials = make_partials()
    absorb(partials, counters, 0, 10)
    await partials.flush()
    close(partials)
    assert counted(make_partials(), counters) == expected(10)


async def test_a_commit_waits_for_kafka_and_fails_with_it(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    absorb(partials, counters, 0, 10)
    await partials.flush()
    sent.batches[0][3].set_exception(ConnectionError("Kafka is away"))
    with pytest.raises(ConnectionError):
        await partials.before_commit()


async def test_each_flush_marks_every_partition_of_counts(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    absorb(partials, counters, 0, 10)
    await partials.flush()
    targets = [partition for topic, partition, *_ in sent.batches if topic == "counts"]
    assert sorted(targets) == [0, 1, 2, 3]


async def test_source_partitions_of_a_row_follow_each_other_into_counts(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    for partition in (2, 0, 3):
        absorb(partials, counters, 0, 10, partition)
    await partials.flush()
    for target in range(4):
        keys = sent.keys("counts", target)
        rows = [key[:-2] for key in keys]
        for row in set(rows):
            places = [at for at, found in enumerate(rows) if found == row]
            assert places == list(range(places[0], places[0] + 3)), "written three times otherwise"
        assert rows[-3:] == [MARK] * 3, "complete up to there, but only now"


def message(partition: int, offset: int, records: list[Any]) -> Any:
    """Return a changelog event as recovery hands it over."""
    from types import SimpleNamespace  # noqa: PLC0415

    from faust.types import TP  # noqa: PLC0415

    tp = TP("t-partials-changelog", partition)
    body = SimpleNamespace(tp=tp, partition=partition, offset=offset, value=records)
    return SimpleNamespace(message=body)


def test_recovery_keeps_the_value_that_read_further(make_partials: Callable[[], Partials]) -> None:
    from types import SimpleNamespace  # noqa: PLC0415

    partials, encode = make_partials(), msgspec.msgpack.encode
    key = b"\x04\0\0\0\0\0\0A"

    def row(last: int, count: int) -> Any:
        return SimpleNamespace(key=key, value=encode((last, {0: count})))

    partials.apply_changelog_batch([message(0, 2, [row(5, 2), row(9, 4), row(7, 3)])])
    partials.apply_changelog_batch([message(0, 3, [row(6, 2)])])  # a zombie's late write
    assert msgspec.msgpack.decode(partials.db(0).get(key)) == [9, {0: 4}]


def test_rows_of_another_layout_stop_the_worker(
    make_partials: Callable[[], Partials], counters: Counters
) -> None:
    changed = declare(Settings(hourly_retention_days=30))
    partials = make_partials()
    absorb(partials, counters, 0, 10)
    partials.db(0).put(LAYOUT, msgspec.msgpack.encode(partials.load(0, [LAYOUT])[LAYOUT]))
    partials.forget()
    partials.counters = changed
    with pytest.raises(SettingsError, match="HOURLY_RETENTION_DAYS"):
        absorb(partials, changed, 10, 20)
    partials.counters = counters
    absorb(partials, counters, 10, 20)


class Passenger:
    """Notes what happened, in order."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    async def flush(self, partition: int) -> None:
        self.happened.append(f"sent of {partition}")

    def forget(self) -> None:
        self.happened.append("forgot")


async def test_what_comes_along_is_sent_before_its_batch_may_be_committed(
    make_partials: Callable[[], Partials],
) -> None:
    partials, passenger = make_partials(), Passenger()
    partials.carry(passenger)
    partials.absorbed(0, 9, lambda: passenger.happened.append("committable"))
    await partials.flush()
    partials.forget()
    assert passenger.happened == ["sent of 0", "committable", "forgot"]


async def test_rows_past_their_retention_go_here_and_in_counts(
    make_partials: Callable[[], Partials], counters: Counters, sent: SentRecords
) -> None:
    partials, spec = make_partials(), counters["events_by_type_minutely"]
    absorb(partials, counters, 0, 6)
    await partials.flush()
    row = spec.keys.row("", spec.place(int(NOW.timestamp()))[0], "VIEW")
    assert partials.db(0).get(row) is not None
    sent.batches.clear()
    assert await partials.expire([0]) >= 1
    assert partials.db(0).get(row) is None
    assert {key for topic, at, *_ in sent.batches for key in sent.keys(topic, at)} >= {
        row,
        row + SOURCE.pack(0),
    }
    assert counted(partials, counters) == expected(6)
    assert await partials.expire([0]) == 0


async def test_a_row_that_waits_for_a_flush_is_not_taken_away_by_its_expiry(
    make_partials: Callable[[], Partials], counters: Counters
) -> None:
    partials, spec = make_partials(), counters["events_by_type_minutely"]
    absorb(partials, counters, 0, 6)
    row = spec.keys.row("", spec.place(int(NOW.timestamp()))[0], "VIEW")
    await partials.delete(0, [row])
    await partials.flush()
    assert partials.db(0).get(row) is not None


async def test_expiry_does_not_look_through_its_own_tombstones(
    make_partials: Callable[[], Partials], monkeypatch: pytest.MonkeyPatch
) -> None:
    partials, looked_from = make_partials(), list[bytes]()
    rows = [b"\x0c%08d" % n for n in range(EXPIRE_CHUNK * 2 + 7)]
    await partials.write(0, [(row, b"v") for row in rows])

    def scan(db: Any, begin: bytes) -> Any:
        looked_from.append(begin)
        return scan_keys(db, begin)

    monkeypatch.setattr(tables.expiring, "scan_keys", scan)
    assert await BatchTable.delete_range(partials, 0, (b"\x0c", b"\x0d")) == len(rows)
    assert looked_from[1:] == [
        row + b"\0" for row in (rows[EXPIRE_CHUNK - 1], rows[2 * EXPIRE_CHUNK - 1], rows[-1])
    ]
    assert await BatchTable.delete_range(partials, 0, (b"\x0c", b"\x0e")) == 0
    assert looked_from[-1] == b"\x0d"
    partials.forget()
    assert await BatchTable.delete_range(partials, 0, (b"\x0c", b"\x0e")) == 0
    assert looked_from[-1] == b"\x0c", "a recovery may have brought some back"
