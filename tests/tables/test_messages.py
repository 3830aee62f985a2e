"""What is remembered of message_ids: after a restart, in recovery, and how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from app.counting.duplicates import HOUR_MS, LEVEL_ROWS, MARGIN_MS
from app.errors import SettingsError
from app.events.batches import Named, Slice
from app.events.event import Event, at_ms
from app.settings import Settings
from tables.counters import declare
from tables.layout import BOTS, DUPLICATES, LAYOUT, check, rules
from tables.messages import RUNS, Messages
from tables.partial_values import Partial
from tables.partials import Partials
from tables.scans import scan_prefix
from tests.support.batches import slice_of
from tests.support.tables import close
from tests.tables.conftest import SentRecords, hold_readings

NOW_MS = int(time() * 1000) - 48 * HOUR_MS
MakeMessages = Callable[[], Messages]
MakePartials = Callable[..., Partials]


def batch(first: int, ids: list[str], ms: int = NOW_MS) -> tuple[Slice, Named]:
    """Return events at the offsets from `first` on, one a message_id."""
    events = [Event(type="A", message_id=name, timestamp=at_ms(ms)) for name in ids]
    offsets = list(range(first, first + len(ids)))
    return slice_of(events, first=first), Named(ids, offsets, [ms] * len(ids))


async def again(messages: Messages, first: int, ids: list[str], ms: int = NOW_MS) -> list[int]:
    await messages.load(0)
    judged = messages.judge(0, *batch(first, ids, ms))
    assert len(judged.human.events) + len(judged.duplicate.events) == len(ids)
    messages.passed(0, first + len(ids), ms / 1000)
    return list(judged.duplicate.offsets)


def reopened(messages: Messages, make: MakeMessages) -> Messages:
    close(messages)
    return make()


async def test_verdicts_go_on_after_a_restart(make_messages: MakeMessages) -> None:
    messages = make_messages()
    assert await again(messages, 0, ["a", "b", "a"]) == [2]
    await messages.flush(0)
    assert await again(messages, 3, ["c"]) == []
    messages = reopened(messages, make_messages)  # without the last flush
    assert await again(messages, 3, ["c", "b", "d"]) == [4]
    await messages.flush(0)
    messages = reopened(messages, make_messages)
    assert await again(messages, 6, ["d", "c", "e"]) == [6, 7]


async def test_what_the_partials_had_not_flushed_is_judged_again(
    make_messages: MakeMessages,
) -> None:
    messages = make_messages()
    assert await again(messages, 0, ["a", "b", "a", "c"]) == [2]
    await messages.flush(0)
    messages.forget()
    assert await again(messages, 0, ["a", "b", "a", "c"]) == [2]
    assert await again(messages, 2, ["a", "c", "c"]) == [2, 4]


async def test_whoever_asks_while_a_batch_is_judged_leaves_out_nothing(
    make_messages: MakeMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query of the first moment, whose reading ends after the batch was judged."""
    messages, judged = make_messages(), asyncio.Event()
    hold_readings(monkeypatch, judged)
    asking = asyncio.create_task(messages.sent_before(0, Named(["b"], [9], [NOW_MS])))
    await asyncio.sleep(0)
    monkeypatch.undo()
    assert await again(messages, 0, ["a"]) == []
    judged.set()
    assert await asking is False
    assert await again(messages, 1, ["a"]) == [1]


async def test_recovery_brings_back_what_was_sent(
    make_messages: MakeMessages, sent: SentRecords
) -> None:
    messages = make_messages()
    await again(messages, 0, ["a", "b"])
    await messages.flush(0)
    rows = {key: messages.db(0).get(key) for key in sent.keys(sent.topics()[0], 0)}
    assert len(rows) == 1
    messages.db(0).delete(next(iter(rows)))
    messages.forget()
    topic = messages.changelog_topic.get_topic_name()
    events = [
        SimpleNamespace(
            message=SimpleNamespace(
                tp=TP(topic, 0), partition=0, offset=1, key=key, value=[record(key, value)]
            )
        )
        for key, value in rows.items()
    ]
    messages.apply_changelog_batch(events)
    assert await again(messages, 2, ["b", "c"]) == [2]


def record(key: bytes, value: bytes) -> SimpleNamespace:
    return SimpleNamespace(key=key, value=value)


async def test_a_run_goes_when_the_committed_records_are_past_it(
    make_messages: MakeMessages, committed: dict[int, int]
) -> None:
    messages = make_messages()
    await again(messages, 0, ["a"])
    await messages.flush(0)
    later = NOW_MS + 24 * HOUR_MS + MARGIN_MS + 1
    await again(messages, 1, ["b"], later)
    await messages.flush(0)
    assert await messages.expire([0]) == 0  # the second batch may come again
    assert await again(messages, 0, ["a"]) == []
    committed[0] = 2
    assert await messages.expire([0]) == 1
    assert await again(messages, 2, ["a", "b"], later) == [3]


async def test_few_ids_at_a_time_do_not_become_many_rows(
    make_messages: MakeMessages, sent: SentRecords
) -> None:
    """Kafka keeps the rows until it has those that replace them."""
    messages = make_messages()
    for at in range(40):
        await again(messages, at, [f"m{at}"])
        await messages.flush(0)
    assert len(stored(messages)) == 40
    expiring = asyncio.create_task(messages.expire([0]))
    await asyncio.sleep(0)
    assert len(stored(messages)) == 40
    sent.acknowledge()
    assert await expiring == 0
    assert len(stored(messages)) == 40 // LEVEL_ROWS + 40 % LEVEL_ROWS
    messages = reopened(messages, make_messages)
    assert await again(messages, 40, [f"m{at}" for at in range(41)]) == list(range(40, 80))


def stored(messages: Messages) -> list[bytes]:
    return [key for key, _ in scan_prefix(messages.db(0), RUNS)]


async def test_runs_that_are_past_go_in_steps(
    make_messages: MakeMessages, committed: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tables.messages.EXPIRE_RUNS", 2)
    messages, later = make_messages(), NOW_MS + 24 * HOUR_MS + MARGIN_MS + 1
    for at in range(5):
        await again(messages, at, [f"m{at}"])
        await messages.flush(0)
    await again(messages, 5, ["late"], later)
    await messages.flush(0)
    committed[0] = 6
    assert await messages.expire([0]) == 5
    assert len(stored(messages)) == 1


async def test_events_without_a_message_id_write_nothing(
    make_messages: MakeMessages, sent: SentRecords
) -> None:
    messages = make_messages()
    await messages.load(0)
    events = slice_of([Event(type="A", timestamp=at_ms(NOW_MS))])
    assert messages.judge(0, events, Named()).human is events
    await messages.flush(0)
    assert sent.topics() == []


async def test_message_ids_on_two_partitions_show(make_messages: MakeMessages) -> None:
    name = "event_counter_message_ids_on_two_partitions_total"
    before = REGISTRY.get_sample_value(name) or 0.0
    messages, ids = make_messages(), [f"m{at}" for at in range(1000)]
    for partition in (0, 0, 1):
        await messages.load(partition)
        messages.judge(partition, *batch(0, ids))
    apart = (REGISTRY.get_sample_value(name) or 0.0) - before
    assert 3 <= apart <= 50


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dedupe_hours": 0}, "EVENT_COUNTER_DEDUPE_HOURS .* EVENT_COUNTER_NAMESPACE"),
        ({"dedupe_hours": 23}, "EVENT_COUNTER_DEDUPE_HOURS"),
        ({"dedupe_uuid": True}, "EVENT_COUNTER_DEDUPE_UUID"),
        ({"bot_limit": 11}, "EVENT_COUNTER_BOT_LIMIT back; or .* event-counter rebuild tables"),
        ({"bot_limit": 11, "dedupe_hours": 23}, "EVENT_COUNTER_DEDUPE_HOURS"),
    ],
)
def test_another_rule_than_the_one_that_judged_is_refused(
    make_partials: MakePartials, changes: dict[str, Any], told: str
) -> None:
    partials = make_partials(rules(Settings()))
    partials.check_layout(0)
    partials.db(0).put(LAYOUT, msgspec.msgpack.encode(partials.load(0, [LAYOUT])[LAYOUT]))
    partials.forget()
    partials.check_layout(0)
    close(partials)
    partials = make_partials(rules(Settings(**changes)))
    with pytest.raises(SettingsError, match=told):
        partials.check_layout(0)


def test_statistics_that_come_later_are_refused() -> None:
    on, off = Settings(), Settings(statistics=False)
    with_them, without = (declare(of).layout() | rules(of) for of in (on, off))
    with pytest.raises(SettingsError, match=r"EVENT_COUNTER_STATISTICS back; or .* rebuild tables"):
        check(without, with_them)
    check({}, with_them)
    check(declare(on).layout(), with_them)  # of before rules were noted
    check(without, without)


def test_tables_from_before_there_were_rules_go_on(make_partials: MakePartials) -> None:
    partials = make_partials(rules(Settings()))
    row = Partial(0, partials.counters.layout())
    partials.db(0).put(LAYOUT, msgspec.msgpack.encode(row))
    partials.check_layout(0)
    assert partials.load(0, [LAYOUT])[LAYOUT].cells[DUPLICATES] == 48
    assert partials.load(0, [LAYOUT])[LAYOUT].cells[BOTS] == 10
