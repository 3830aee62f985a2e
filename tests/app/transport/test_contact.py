"""When the coordinator was last heard of, and a question to it that nobody answers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    IllegalGenerationError,
    NoError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

import app.transport.fetching
from app.kafka.clients import KafkaClients
from app.kafka.growing import add_partitions
from app.names import Names
from app.settings import Settings
from app.transport.contact import Contact, listening
from app.transport.fetching import FetchThread

HEARTBEAT = HeartbeatRequest("group", 1, "member")


async def words(request: Any, error: type) -> int:
    """Return how often the worker counts as known after a request was answered."""
    heard: list[float] = []

    async def send(_node_id: int, _request: Any, **_options: Any) -> Any:
        return SimpleNamespace(error_code=error.errno)  # type: ignore[attr-defined]

    answer = await listening(send, heard.append)(0, request, group=1)
    assert answer.error_code == error.errno  # type: ignore[attr-defined]
    return len(heard)


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (NoError, 1),
        (RebalanceInProgressError, 1),
        (IllegalGenerationError, 0),
        (UnknownMemberIdError, 0),
    ],
)
async def test_a_heartbeat_says_whether_the_worker_is_known(error: type, times: int) -> None:
    assert await words(HEARTBEAT, error) == times


async def test_only_what_needs_a_member_is_a_word() -> None:
    assert await words(SyncGroupRequest("group", 1, "member", None, []), NoError) == 1
    assert await words(FindCoordinatorRequest("group", 0), NoError) == 0


async def test_a_worker_is_silent_until_the_next_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.transport.contact.monotonic", iter([0, 6, 7, 7, 8]).__next__)
    contact = Contact(silent_after_s=6, stale_max_s=60)
    assert contact.silent_since_s is None
    assert contact.silent_since_s is not None
    contact.heard(7)
    assert contact.silent_since_s is None


async def test_an_answer_is_as_old_as_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was frozen finds answers from before, and is nobody any more."""
    now = 0.0
    monkeypatch.setattr("app.transport.contact.monotonic", lambda: now)
    contact = Contact(silent_after_s=6, stale_max_s=60)

    async def send(_node_id: int, _request: Any, **_options: Any) -> Any:
        nonlocal now
        now = 8.0
        return SimpleNamespace(error_code=NoError.errno)

    await listening(send, contact.heard)(0, HEARTBEAT, group=1)
    assert contact.silent_since_s is not None


async def test_a_question_that_nobody_answers_is_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.transport.fetching, "ASK_S", 0.01)
    thread: Any = FetchThread.__new__(FetchThread)
    coordinator = SimpleNamespace(_do_heartbeat=asyncio.get_running_loop().create_future)
    thread._ensure_consumer = lambda: SimpleNamespace(_coordinator=coordinator)
    assert not await thread.heartbeat()


async def test_partitions_that_nobody_reads_are_named(settings: Settings, topics: Names) -> None:
    contact, client = Contact(reads=(topics.events, 4)), KafkaClients.of(settings).client()
    assert contact.unread == ""
    contact.attach(client)
    await client.bootstrap()
    await client.set_topics([topics.events])
    assert contact.unread == ""
    await add_partitions(settings.model_copy(update={"events_partitions": 5}), 1)
    await client.force_metadata_update()
    assert "has 5 partitions, and workers read 4" in contact.unread
    assert "EVENT_COUNTER_EVENTS_PARTITIONS=5 and type event-counter grow" in contact.unread
    await client.close()
