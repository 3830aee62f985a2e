"""Rows of which the last record in a changelog says less than is known are sent again."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from tables.outdone import Outdone
from tables.partial_values import Partial
from tables.partials import Partials
from tables.totals import Totals
from tests.support.tables import recover
from tests.tables.conftest import SentRecords
from tests.tables.test_healing import ROW, changelog, recovered

OTHER = b"\x04\0\0\0\0\0\0B"
NEWER, OLDER = (msgspec.msgpack.encode(Partial(*said)) for said in ((9, {0: 3}), (7, {0: 2})))


@pytest.mark.parametrize("fetches", [1, 2])
async def test_what_a_late_writer_left_behind_the_newer_value_is_sent_again(
    make_partials: Callable[[], Partials], sent: SentRecords, fetches: int
) -> None:
    """So that compaction, which keeps the last record, keeps what is right."""
    partials, records = make_partials(), [(ROW, NEWER), (OTHER, NEWER), (ROW, OLDER)]
    size = len(records) // fetches
    for begin in range(0, len(records), size):
        recover(partials, records[begin : begin + size], begin)
    await recovered(partials, sent, 2)
    assert sent.keys(changelog(partials).topic, 0) == [ROW]
    assert partials.db(0).get(ROW) == NEWER
    published = [key for number in range(4) for key in sent.keys("counts", number)]
    assert published == [ROW + b"\0\0"]
    assert partials.data.persisted_offset(changelog(partials)) == 3
    sent.batches.clear()
    await recovered(partials, sent, 3)
    assert sent.batches == [], "once"


async def test_it_is_sent_by_the_next_owner_where_this_one_dies_before(
    make_partials: Callable[[], Partials], sent: SentRecords
) -> None:
    partials = make_partials()
    recover(partials, [(ROW, NEWER)])
    recover(partials, [(ROW, OLDER), (OTHER, NEWER)], 1)
    persisted = partials.data.persisted_offset(changelog(partials))
    assert persisted == 0, "what comes after it is read again"
    partials.outdone = Outdone()  # another process, on the same disk
    recover(partials, [(ROW, OLDER), (OTHER, NEWER)], 1)
    await recovered(partials, sent, 2)
    assert sent.keys(changelog(partials).topic, 0) == [ROW]
    assert partials.data.persisted_offset(changelog(partials)) == 3


@pytest.mark.parametrize(
    "records",
    [
        [(ROW, OLDER), (ROW, NEWER)],
        [(ROW, NEWER), (ROW, OLDER), (ROW, NEWER)],
        [(ROW, NEWER), (ROW, OLDER), (ROW, None)],
        [(ROW, NEWER), (ROW, None), (ROW, OLDER)],
    ],
)
@pytest.mark.parametrize("fetches", [1, 2])
async def test_rows_whose_last_record_is_right_are_not_sent(
    make_partials: Callable[[], Partials],
    sent: SentRecords,
    records: list[tuple[bytes, bytes | None]],
    fetches: int,
) -> None:
    partials, size = make_partials(), len(records) // fetches
    for begin in range(0, len(records), size):
        recover(partials, records[begin : begin + size], begin)
    await recovered(partials, sent, len(records) - 1)
    assert sent.batches == []
    assert partials.data.persisted_offset(changelog(partials)) == len(records) - 1


async def test_totals_that_hold_the_same_in_another_order_are_not_sent(
    make_totals: Callable[[], Totals], sent: SentRecords
) -> None:
    totals = make_totals()
    one, other = ({1: 5, 2: 6}, {2: 6, 1: 5})
    recover(totals, [(ROW, msgspec.msgpack.encode(cells)) for cells in (one, other)])
    await recovered(totals, sent, 1)
    assert sent.batches == []
    recover(totals, [(ROW, msgspec.msgpack.encode({1: 9, 2: 1}))], 2)
    await recovered(totals, sent, 2)
    assert sent.keys(changelog(totals).topic, 0) == [ROW], "each knew more of one cell"
