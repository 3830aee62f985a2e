"""Rows of message_ids stay few, however few of them come at a time, and hold all of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from app.counting.duplicates import LEVEL_ROWS, LEVELS, ROW_IDS, GrowingRows, Seen
from app.counting.message_runs import MessageRun
from app.events.batches import Named

NOON_MS = 1_790_000_000_000


def run_of(first: int, count: int) -> MessageRun:
    offsets = list(range(first, first + count))
    return MessageRun.of(Named([f"m{at}" for at in offsets], offsets, [NOON_MS] * count))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("most", [1, 40, 3000, ROW_IDS])
def test_rows_are_few_and_hold_each_fact_once(seed: int, most: int) -> None:
    rng, growing, at, rows = random.Random(seed), GrowingRows(), 0, dict[int, MessageRun]()
    for _ in range(2000 if most < 1000 else 60):
        new, replaced = growing.add(run_of(at, count := rng.randint(1, most)))
        at += count
        for row in replaced:
            assert rows.pop(row.offset).last == row.last
        rows[new.offset] = new
    found = sorted(
        offset for row in rows.values() for offset in row.offsets_at(np.arange(len(row)))
    )
    assert found == list(range(at))
    assert max(map(len, rows.values())) <= ROW_IDS
    assert len(rows) <= LEVEL_ROWS * LEVELS + at * LEVEL_ROWS / ROW_IDS


def test_bringing_rows_in_looks_at_each_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, length = 0, MessageRun.__len__

    def counted(run: MessageRun) -> int:
        nonlocal asked
        asked += 1
        return length(run)

    rows = [run_of(at, 1).pack() for at in range(3000)]
    monkeypatch.setattr(MessageRun, "__len__", counted)
    assert len(Seen(24, rows)) == 3000
    assert asked < 5 * len(rows)
