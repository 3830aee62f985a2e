"""The bytes of keys: they are on disks and in Kafka, and tables of later versions read them."""

from __future__ import annotations

import struct

import pytest

from app.counting.row_keys import (
    KEY_PART,
    ROW_PART,
    SOURCE,
    SOURCE_PART,
    START_PART,
    ExpiringKeys,
    PermanentKeys,
    RowKeys,
    is_mark,
    key_size,
    mark_of,
    source_of,
    source_of_mark,
    split_tail,
    unlabelled,
)

PERMANENT, EXPIRING = PermanentKeys(2), ExpiringKeys(250)
BOTH = pytest.mark.parametrize("keys", [PERMANENT, EXPIRING], ids=["permanent", "expiring"])
START, LATER = 0x60000000, 0x60015180
PLACES = [("/ü", "VIEW", START), ("", "", START), ("/a\0x", "ü", LATER), ("/b", "", 0)]
PINNED = [  # in hex: number, start and length, and the texts
    (PERMANENT, PLACES[0], "02 0003 2fc3bc 60000000 56494557"),
    (PERMANENT, PLACES[1], "02 0000 60000000"),
    (PERMANENT, ("k" * 300, "", LATER), f"02 012c {'6b' * 300} 60015180"),
    (EXPIRING, PLACES[0], "fa 60000000 0003 2fc3bc 56494557"),
    (EXPIRING, PLACES[1], "fa 60000000 0000"),
    (EXPIRING, ("k" * 300, "", LATER), f"fa 60015180 012c {'6b' * 300}"),
]


def row_of(keys: RowKeys, place: tuple[str, str, int]) -> bytes:
    key, label, start = place
    return keys.row(key, start, label)


@pytest.mark.parametrize(("keys", "place", "pinned"), PINNED)
def test_rows_have_these_bytes(keys: RowKeys, place: tuple[str, str, int], pinned: str) -> None:
    row, (key, label, start) = bytes.fromhex(pinned), place
    assert row_of(keys, place) == row
    assert list(keys.rows([place])) == [row]
    assert keys.parse(row) == (key, start, label)
    assert keys.key_of(row) == key.encode()
    keys.check(row)


def test_marks_and_keys_in_counts_have_these_bytes() -> None:
    key = b"row" + SOURCE.pack(258)
    assert (key, mark_of(258)) == (b"row\x01\x02", b"\0\x01\x02")
    assert (key[ROW_PART], key[SOURCE_PART], source_of(key)) == (b"row", b"\x01\x02", 258)
    assert (is_mark(mark_of(258)), is_mark(row_of(PERMANENT, PLACES[0]))) == (True, False)
    assert source_of_mark(mark_of(258)) == 258
    with pytest.raises(struct.error):
        source_of_mark(b"\0\x01")


@BOTH
@pytest.mark.parametrize("place", PLACES)
def test_a_tail_is_the_same_at_each_start_and_in_both_layouts(
    keys: RowKeys, place: tuple[str, str, int]
) -> None:
    key, label, start = place
    row = row_of(keys, place)
    found, tail = keys.split(row)
    assert (found, tail) == (start, PERMANENT.split(PERMANENT.row(key, LATER, label))[1])
    assert keys.split_all([row, row]) == ([start, start], [tail, tail])
    assert keys.join(start, tail) == row
    assert split_tail(tail) == (key.encode(), label.encode())
    assert unlabelled(tail) + label.encode() == tail
    assert PERMANENT.start_and_unlabelled(row_of(PERMANENT, place)) == (start, unlabelled(tail))


@BOTH
def test_a_run_has_keys_of_one_length_in_order(keys: RowKeys) -> None:
    rows = [keys.row(key, START, label) for key in ("/a", "/b") for label in ("", "VIEW", "ü")]
    runs = {keys.run_of(row) for row in rows}
    assert (len(runs), *map(key_size, runs)) == (1, 2)
    assert rows == sorted(rows)
    (run,) = runs
    assert rows[2] < run + b"/a" + keys.behind_key < rows[3]
    assert keys.run_of(keys.row("/abc", START, "")) > run


def test_rows_that_expire_lie_by_start() -> None:
    rows = [row_of(EXPIRING, place) for place in PLACES]
    starts = [EXPIRING.split(row)[0] for row in sorted(rows)]
    assert starts == sorted(starts)
    begin, end = EXPIRING.before(LATER)
    assert [begin <= row < end for row in rows] == [True, True, False, True]
    assert EXPIRING.start_from(START) == rows[0][START_PART]
    assert rows[3][KEY_PART] == b"/b"


def test_rows_kept_for_good_lie_by_key() -> None:
    first, later = (PERMANENT.row("/a", start, "VIEW") for start in (START, LATER))
    prefix = PERMANENT.with_key("/a")
    end = PERMANENT.key_end(first)
    assert (first[:end], later[:end]) == (prefix, prefix)
    assert PERMANENT.start_and_label(later, end) == (LATER, "VIEW")
    assert PERMANENT.same_key(first, LATER) == later.removesuffix(b"VIEW")
    assert later < PERMANENT.next_key(first) < PERMANENT.row("/b", 0, "")
    assert PERMANENT.start_from(START) == PERMANENT.first


@BOTH
def test_all_rows_of_a_counter_are_one_range(keys: RowKeys) -> None:
    rows = [row_of(keys, place) for place in PLACES]
    others = [row_of(type(keys)(keys.number + 1), place) for place in PLACES]
    assert all(keys.first <= row < keys.end for row in rows)
    assert not any(keys.first <= row < keys.end for row in others)


@BOTH
@pytest.mark.parametrize("end", [0, 1, 4, -1, -3])
def test_what_is_cut_off_is_no_row(keys: RowKeys, end: int) -> None:
    row = keys.row("/a", START, "ü")
    with pytest.raises((ValueError, struct.error)):
        keys.check(row[:end])
