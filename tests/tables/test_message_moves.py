"""What is remembered of message_ids, where partitions move while it is read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from agents.count_events import Counting
from app.counting.duplicates import Seen
from app.errors import RecoveringError
from app.events.batches import Named
from tables.judges import Judges
from tables.messages import run_row
from tables.partials import Partials
from tests.support.batches import batch_of
from tests.support.tables import close, recover
from tests.tables.conftest import hold_readings
from tests.tables.test_messages import NOW_MS, MakeMessages, again, batch


async def test_what_is_loaded_in_a_rebalance_is_loaded_again(make_messages: MakeMessages) -> None:
    messages = make_messages()
    await again(messages, 0, ["a"])
    await messages.flush(0)
    messages.forget()
    loading = asyncio.create_task(messages.load(0))
    await asyncio.sleep(0)
    messages.forget()
    await messages.write(0, [])
    await loading
    assert await again(messages, 1, ["a"]) == [1]


async def test_who_loads_while_its_partition_moves_away_opens_it_no_more(
    make_messages: MakeMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages, moved = make_messages(), asyncio.Event()
    messages.db(0)
    hold_readings(monkeypatch, moved)
    asking = asyncio.create_task(messages.sent_before(0, Named(["b"], [9], [NOW_MS])))
    loading = asyncio.create_task(messages.load(0))
    await asyncio.sleep(0)
    messages.forget()
    close(messages)
    moved.set()
    await loading
    with pytest.raises(RecoveringError):
        await asking
    assert not messages.data._dbs


async def test_the_parts_of_a_batch_open_no_partition_that_moved_away(
    make_messages: MakeMessages, make_partials: Callable[..., Partials]
) -> None:
    messages, consumer = make_messages(), SimpleNamespace(gate=1)
    judges = Judges(messages=messages)
    count = Counting(SimpleNamespace(consumer=consumer), make_partials(), judges, None)
    values = [json.dumps({"type": "A", "message_id": f"m{n}"}).encode() for n in range(3000)]

    async def rebalance() -> None:
        while 0 not in messages._seen:
            await asyncio.sleep(0)
        consumer.gate = 2
        messages.forget()
        close(messages)

    moving = asyncio.create_task(rebalance())
    assert not await count.whole(batch_of(values, first=0, gate=1))
    await moving
    assert not messages.data._dbs


async def test_what_is_loaded_before_a_recovery_is_loaded_again_after_it(
    make_messages: MakeMessages,
) -> None:
    """As by a query, of a partition that was another worker's and is ours again."""
    messages, other = make_messages(), Seen(24)
    await messages.load(0)
    other.judge(batch(0, ["x"])[1])
    ((run, _),) = other.take_rows()
    loading = asyncio.create_task(messages.load(0))
    recover(messages, [run_row(run)])
    await messages.on_recovery_completed(set(), set())
    await loading
    assert await again(messages, 5, ["x"]) == [5]
