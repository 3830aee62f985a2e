"""Which records are duplicates, whatever a crash leaves of what was remembered."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from app.counting import duplicates
from app.counting.duplicates import HOUR_MS, MARGIN_MS, ROW_IDS, Seen
from app.counting.message_runs import MessageRun
from app.events.batches import Named

NOON_MS = 1_790_000_000_000
DAY_MS = 24 * HOUR_MS
Log = list[tuple[str, int, int]]  # message_id, offset, ms


def named(log: Log) -> Named:
    return Named(*(list(column) for column in zip(*log, strict=True)))


def expected(log: Log, hours: int = 24) -> set[int]:
    """Return the offsets of the duplicates, worked out the plain way."""
    seen: dict[str, list[int]] = {}
    found = set()
    for message_id, offset, ms in log:
        if any(ms - before < hours * HOUR_MS for before in seen.get(message_id, ())):
            found.add(offset)
        seen.setdefault(message_id, []).append(ms)
    return found


def judged(seen: Seen, log: Log, cuts: list[int]) -> set[int]:
    """Return the duplicates of a log that comes in batches."""
    found: set[int] = set()
    for begin, end in pairwise(cuts):
        found |= seen.judge(named(log[begin:end]))
    return found


def random_log(rng: random.Random, count: int, disorder_ms: int = 0) -> Log:
    """Return records of few message_ids, some hours apart, with gaps between the offsets."""
    log: Log = []
    offset, ms = rng.randrange(1000), NOON_MS
    for _ in range(count):
        offset += rng.choice([1, 1, 1, 7])
        ms += rng.choice([0, 1, 1000, HOUR_MS // 3])
        name = str(rng.randrange(count // 3)) if rng.random() < 0.9 else "often"
        log.append((name, offset, ms - rng.randrange(disorder_ms + 1)))
    return log


def random_cuts(rng: random.Random, count: int, pieces: int = 20) -> list[int]:
    return sorted({0, count, *rng.sample(range(count), pieces)})


def rows(seen: Seen) -> list[bytes]:
    return [run.pack() for run in seen.take_fresh()]


@pytest.fixture(params=[False, True], ids=["few ids", "many runs"])
def grown(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a partition with many ids: runs that are merged no more, behind several filters."""
    if request.param:
        small = {"RUN_IDS": 64, "FILTER_RUNS": 3, "YOUNG_WIDTH": 8, "OLD_WIDTH": 9}
        for name, value in small.items():
            monkeypatch.setattr(duplicates, name, value)


@pytest.mark.usefixtures("grown")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("disorder_ms", [0, HOUR_MS, 100 * DAY_MS])
def test_a_record_is_a_duplicate_for_as_long_as_it_says(seed: int, disorder_ms: int) -> None:
    rng = random.Random(seed)
    log, hours = random_log(rng, 600, disorder_ms), rng.choice([1, 24, 720])
    right = expected(log, hours)
    assert judged(Seen(hours), log, random_cuts(rng, len(log))) == right
    assert 0 < len(right) < len(log)


def test_just_under_a_day_is_a_duplicate_and_a_day_is_not() -> None:
    first = ("m", 5, NOON_MS)
    for later_ms, again in ((DAY_MS - 1, {6}), (DAY_MS, set()), (-1, {6}), (-DAY_MS, {6})):
        assert Seen(24).judge(named([first, ("m", 6, NOON_MS + later_ms)])) == again
        seen = Seen(24)
        assert seen.judge(named([first])) == set()
        assert seen.judge(named([("m", 6, NOON_MS + later_ms)])) == again


def test_a_duplicate_counts_as_sent_before_too() -> None:
    log = [("m", at, NOON_MS + at * 20 * HOUR_MS) for at in range(5)]
    assert Seen(24).judge(named(log)) == {1, 2, 3, 4}


@pytest.mark.usefixtures("grown")
@pytest.mark.parametrize("seed", range(20))
def test_what_comes_again_after_a_crash_gets_the_same_verdict(seed: int) -> None:
    """Of the runs above the committed position a crash leaves any part."""
    rng = random.Random(seed)
    log = random_log(rng, 500, rng.choice([0, HOUR_MS]))
    right, seen, kept = expected(log), Seen(24), list[tuple[int, bytes]]()
    committed = at = 0
    while at < len(log):
        end = min(len(log), at + rng.randint(1, 60))
        found = seen.judge(named(log[at:end]))
        places = {offset for _, offset, _ in log[at:end]}
        assert found == right & places, (seed, at, end)
        flushed = (
            [(MessageRun.unpack(row).last, row) for row in rows(seen)] if rng.random() < 0.5 else []
        )
        at = end
        if rng.random() < 0.3:  # killed, perhaps inside the flush: a part of it is there
            kept += [row for row in flushed if rng.random() < 0.5]
            at = committed
        elif flushed or not seen.fresh:
            kept += flushed
            committed = at
            if rng.random() < 0.7:
                continue
        else:
            continue
        kept.sort()
        seen = Seen(24, [row for _, row in kept])
    assert committed or at == len(log)


@pytest.mark.usefixtures("grown")
@pytest.mark.parametrize("seed", range(4))
def test_what_is_forgotten_is_not_missed(seed: int) -> None:
    rng = random.Random(seed)
    log, seen, most = random_log(rng, 6000, MARGIN_MS), Seen(24), 0
    right = expected(log)
    for begin in range(0, len(log), 50):
        batch = log[begin : begin + 50]
        assert seen.judge(named(batch)) == right & {offset for _, offset, _ in batch}
        seen.expire(max(ms for *_, ms in log[: begin + 50]))
        most = max(most, len(seen))
    assert most < len(log) / 2


def test_filters_are_dropped_and_emptied_with_what_they_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duplicates, "RUN_IDS", 64)
    monkeypatch.setattr(duplicates, "FILTER_RUNS", 2)
    seen = Seen(1)
    for hour in range(50):
        ms = NOON_MS + hour * HOUR_MS
        seen.judge(named([(f"{hour} {at}", hour * 100 + at, ms) for at in range(80)]))
        seen.judge(named([(f"{hour} late", hour * 100 + 90, ms)]))
        seen.expire(ms)
    assert len(seen.groups) <= 4
    unknown = MessageRun.of(named([(f"new {at}", at, NOON_MS) for at in range(10_000)]))
    assert seen.groups[0].may_have(unknown).sum() < 10


def test_one_message_id_for_everything_costs_no_more_than_others() -> None:
    seen, step = Seen(24), 5000
    for begin in range(0, 100_000, step):
        log = [("m", at, NOON_MS + at) for at in range(begin, begin + step)]
        assert len(seen.judge(named(log))) == step - (begin == 0)
    much_later = NOON_MS + 30 * DAY_MS
    log = [("m", at, much_later) for at in range(100_000, 100_000 + step)]
    assert len(seen.judge(named(log))) == step - 1
    assert len(seen.judge(named([("m", 200_000, much_later + DAY_MS)]))) == 0


@pytest.mark.parametrize("spread", [1, 1 << 40])
def test_a_run_is_the_same_after_packing(spread: int) -> None:
    log = [(f"é{at}", 3 * at * spread, NOON_MS + at * spread) for at in range(100)]
    run = MessageRun.of(named(log))
    again = MessageRun.unpack(run.pack())
    assert (again.offset, again.time, again.latest, again.last) == (
        *(0, NOON_MS, NOON_MS + 99 * spread),
        297 * spread,
    )
    for column in ("high", "low", "offsets", "times"):
        assert np.array_equal(getattr(again, column), getattr(run, column))
    assert len(run.pack()) < 100 * (20 if spread == 1 else 28) + 100


def test_rows_are_small_enough_for_a_record_batch() -> None:
    seen = Seen(24)
    for begin in range(0, 100_000, 7000):
        seen.judge(named([(str(at), at, NOON_MS) for at in range(begin, begin + 7000)]))
    seen.judge(named([(str(at), at, NOON_MS) for at in range(200_000, 250_000)]))
    runs = list(seen.take_fresh())
    assert sum(map(len, runs)) == 15 * 7000 + 50_000
    assert max(map(len, runs)) <= ROW_IDS
    assert max(len(run.pack()) for run in runs) < 410_000
    assert list(seen.take_fresh()) == []
    ends = [(run.offset, run.last) for run in runs]
    assert all(last < first for (_, last), (first, _) in pairwise(ends))
