"""GET /stats/users/{user_id}/sessions: when a user's sessions were seen, and how often."""

from __future__ import annotations

from time import time
from typing import Any

import msgspec

from app.counting.stats_window import HOURS, Window, parse_window, split
from app.errors import RecoveringError
from app.events.times import rfc3339
from app.transport.ownership import Ownership
from tables.sessions import Session, Sessions, merged
from web.http import paths
from web.query.gather import GatheredQuery, Gathering
from web.query.messages import Query

MICROSECONDS = 1_000_000
SessionsFound = dict[str, Session]


class SessionsAsk(msgspec.Struct, array_like=True, frozen=True):
    """What is asked."""

    user_id: str
    window: Window


class UserSessions(GatheredQuery[SessionsAsk, SessionsFound]):
    """GET ?window=1800&at= -> the sessions of a user that were seen in the window."""

    ask_type, part_type = SessionsAsk, SessionsFound

    def __init__(self, sessions: Sessions, sources: Ownership) -> None:
        self._sessions, self._sources = sessions, sources

    def parse(self, query: Query) -> SessionsAsk:
        """Read window= and at=."""
        now = time()
        window = parse_window(query.args, now, default_s=1800)
        split(window, now, (HOURS,))  # raises where it is not kept
        return SessionsAsk(query.segments[2], window)

    async def local(self, ask: SessionsAsk, partitions: list[int]) -> SessionsFound:
        """Return what these partitions of `events` saw."""

        def check() -> None:
            if set(partitions) != set(self._sources.partitions()):
                raise RecoveringError("partitions are moving to another worker")

        check()
        return await self._sessions.read(ask.user_id, ask.window.begin, ask.window.end, check)

    def merge(self, ask: SessionsAsk, parts: list[SessionsFound]) -> object:
        """Return {"user_id", "active_sessions", "sessions": [...]}, the last seen first."""
        found: SessionsFound = {}
        for part in parts:
            for session, seen in part.items():
                found[session] = merged(found.get(session), seen)
        ordered = sorted(found.items(), key=lambda one: (-one[1][1], one[0]))
        sessions = [_shown(session, *seen) for session, seen in ordered]
        return {
            "user_id": ask.user_id,
            "active_sessions": len(sessions),
            "sessions": sessions,
        }


def _shown(session: str, first_us: int, last_us: int, events: int) -> dict[str, Any]:
    return {
        "session_id": session,
        "first_seen": moment(first_us),
        "last_seen": moment(last_us),
        "events": events,
    }


def moment(microseconds: int) -> str:
    """Return microseconds since 1970 as RFC 3339, with as many decimals as needed."""
    seconds, rest = divmod(microseconds, MICROSECONDS)
    decimals = f".{rest:06}".rstrip("0") if rest else ""
    return f"{rfc3339(seconds).removesuffix('Z')}{decimals}Z"


def register(gathering: Gathering, sessions: Sessions, sources: Ownership) -> None:
    """Add the query of a count worker; gathering: of the partitions of `events`."""
    gathering.add(paths.SESSIONS, UserSessions(sessions, sources))
