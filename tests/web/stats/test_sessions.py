"""The answer of a user with very many sessions: the same, in many turns of the loop."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import tables.turns
import web.stats.sessions
from app.counting.stats_window import Window
from tables.sessions import Session, merged
from tests.support.turns import turns_of
from web.query.messages import Answer
from web.stats.sessions import SessionsAsk, UserSessions, moment

AT_US = 1_700_000_000_000_000
ASK = SessionsAsk('all "of" us', Window(1_700_000_000, 1_700_003_600))
PARTITIONS = [0, 1]


def sessions_of(rng: random.Random, many: int) -> dict[str, Session]:
    """Some last seen at the same moment, and some moments without decimals."""
    found = {}
    for _ in range(many):
        first = AT_US + rng.choice([0, 1, 10, 999_999, 1_000_000]) * rng.randrange(5)
        found[f"{rng.choice('aöz')}{rng.randrange(2 * many)}"] = first, first + 20, 3
    return found


def user_sessions(found: dict[str, Session]) -> UserSessions:
    async def read(*_: object) -> dict[str, Session]:
        return dict(found)

    known: Any = SimpleNamespace(read=read)
    owned: Any = SimpleNamespace(answers=PARTITIONS.__contains__)
    return UserSessions(known, owned)


def answer_at_once(parts: list[dict[str, Session]]) -> Any:
    """Return what the answer is, the simple way."""
    together: dict[str, Session] = {}
    for part in parts:
        for session, seen in part.items():
            together[session] = merged(together.get(session), seen)
    return {
        "user_id": ASK.user_id,
        "active_sessions": len(together),
        "sessions": [
            {"session_id": s, "first_seen": moment(a), "last_seen": moment(b), "events": n}
            for s, (a, b, n) in sorted(together.items(), key=lambda one: (-one[1][1], one[0]))
        ],
    }


@pytest.mark.parametrize("many", [0, 1, 300])
async def test_it_is_the_same_answer(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.stats.sessions, "CHUNK", 16)
    rng = random.Random(many)
    found = [sessions_of(rng, many), sessions_of(rng, many)]
    asked = [user_sessions(one) for one in found]
    parts = [await one.local(ASK, PARTITIONS) for one in asked]
    answer = await asked[0].finish(ASK, parts)
    assert answer.body == Answer.json(answer_at_once(found)).body
    assert answer.status == 200


async def test_others_have_their_turn_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.stats.sessions, "CHUNK", 16)
    monkeypatch.setattr(tables.turns, "TURN_S", -1)
    asked = user_sessions(found := sessions_of(random.Random(1), 500))
    parts = [await asked.local(ASK, PARTITIONS)]
    chunks = len(found) // 16
    assert await turns_of(asked.local(ASK, PARTITIONS)) > chunks
    assert await turns_of(asked.finish(ASK, parts)) > 2 * chunks - 1
    assert max(len(msgspec.msgpack.decode(one)) for one in parts[0]) == 16
