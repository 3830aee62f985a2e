"""Tables whose files on the disk are not as they were left."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import rocksdict
from faust.types import TP

from tables import table_store
from tables.totals import Totals
from tests.support.tables import close

PARTITIONS = 4
BOUND = 4 << 20  # bytes, as many as a partition has in the test that fills four
FULL = [(f"k{n}".encode(), b"v" * 100) for n in range(1000)]


def halve(path: Path) -> None:
    """Lose the second half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


async def filled(make_totals: Callable[[], Totals]) -> Path:
    """Fill partition 0 of a table and close it; return its folder."""
    totals = make_totals()
    await totals.write(0, FULL)
    totals.data.set_persisted_offset(TP(totals.changelog_topic.get_topic_name(), 0), 999)
    totals.db(0).flush()
    path: Path = totals.data.partition_path(0)
    close(totals)
    return path


@pytest.mark.parametrize("harm", [Path.unlink, halve])
@pytest.mark.parametrize("what", ["*.sst", "MANIFEST-*", "CURRENT", "*.log"])
async def test_a_damaged_partition_opens_and_is_recovered_from_where_it_is_right(
    make_totals: Callable[[], Totals], what: str, harm: Callable[[Path], None]
) -> None:
    for file in (await filled(make_totals)).glob(what):
        harm(file)
    totals = make_totals()
    rows = [value for value in totals.db(0).get([key for key, _ in FULL]) if value is not None]
    offset = totals.data.persisted_offset(TP(totals.changelog_topic.get_topic_name(), 0))
    assert (len(rows), offset) in [(0, None), (1000, 999)], "offset and rows belong together"


async def test_a_partition_that_another_process_has_is_not_thrown_away(
    make_totals: Callable[[], Totals],
) -> None:
    first = make_totals()
    await first.write(0, FULL)
    with pytest.raises(Exception, match="lock"):
        make_totals().db(0)
    assert first.db(0).get(b"k1") == b"v" * 100


async def test_all_partitions_share_a_bound_of_cache_and_memtables(
    make_totals: Callable[[], Totals], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_store, "_cache", rocksdict.Cache(BOUND))
    memtables = rocksdict.WriteBufferManager(BOUND, allow_stall=False)
    monkeypatch.setattr(table_store, "_memtables", memtables)
    totals, rng = make_totals(), random.Random(1)
    rows = [(f"k{n:05}".encode(), rng.randbytes(200)) for n in range(20_000)]
    for partition in range(PARTITIONS):
        await totals.write(partition, rows)
    name = "rocksdb.cur-size-all-mem-tables"
    dbs = [totals.db(partition) for partition in range(PARTITIONS)]
    assert table_store.memory()["memtables"] >= sum(db.property_int_value(name) for db in dbs) > 0
    for db in dbs:
        db.flush()
        assert None not in db.get([key for key, _ in rows])
        assert 0 < table_store.memory()["cache"] <= BOUND
