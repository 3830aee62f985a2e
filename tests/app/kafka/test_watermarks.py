"""Waiting for workers: for as long as they come nearer, and not where they stand still."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import app.kafka.watermarks
from app.errors import StartError
from app.kafka.watermarks import Offsets, wait_for


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a minute pass between two looks."""
    looks = iter(range(0, 60_000, 60))
    monkeypatch.setattr(app.kafka.watermarks, "monotonic", lambda: float(next(looks)))
    monkeypatch.setattr(app.kafka.watermarks, "POLL_S", 0)


async def wait(positions: Iterator[Offsets]) -> list[str]:
    """Return what is said meanwhile."""
    said: list[str] = []

    async def position() -> Offsets:
        return next(positions)

    await wait_for("the workers", position, {0: 10, 1: 10}, 90, said.append)
    return said


async def test_slow_workers_have_all_the_time_they_need() -> None:
    positions = [{0: n // 2} for n in range(20)] + [{0: 10, 1: n} for n in range(11)]
    said = await wait(iter(positions))
    assert len(said) == len(positions) - 1
    assert said[-1] == "waiting for the workers: 1 records behind"


async def test_workers_that_stand_still_or_go_back_are_not_waited_for() -> None:
    for still, behind in (({0: 7}, 13), ({0: 6, 1: 0}, 14)):
        with pytest.raises(StartError, match=f"no further for 90 s: {behind} records behind"):
            await wait(iter([{0: 7}, *[still] * 3, {0: 8}]))
