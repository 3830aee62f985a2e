"""GET /stats/users/{user_id}/sessions: when a user's sessions were seen, and how often."""

from __future__ import annotations

import struct
from time import time
from typing import Any

import msgspec

from app.counting.stats_window import HOURS, Window, parse_window, split
from app.errors import RecoveringError
from app.events.times import rfc3339
from app.transport.ownership import Ownership
from tables.sessions import Session, Sessions, merged
from tables.turns import Turns, in_buckets
from web.http import paths
from web.http.views import JSON, OK
from web.query.gather import GatheredQuery, Gathering
from web.query.messages import Answer, Query

MICROSECONDS = 1_000_000
LAST_US = (1 << 63) - 1
CHUNK = 1000  # sessions, some 5 ms
SessionsPart = list[
    bytes
]  # {session: (first and last microsecond, events)} as MessagePack, in chunks

_LAST = struct.Struct(">Q")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(dict[str, Session]).decode
_json = msgspec.json.Encoder().encode


class SessionsAsk(msgspec.Struct, array_like=True, frozen=True):
    """What is asked."""

    user_id: str
    window: Window


class UserSessions(GatheredQuery[SessionsAsk, SessionsPart]):
    """GET ?window=1800&at= -> the sessions of a user that were seen in the window.

    An id that all visitors share has hundreds of thousands: each step is cut into turns.
    """

    ask_type, part_type = SessionsAsk, SessionsPart

    def __init__(self, sessions: Sessions, sources: Ownership) -> None:
        self._sessions, self._sources = sessions, sources

    def parse(self, query: Query) -> SessionsAsk:
        """Read window= and at=."""
        now = time()
        window = parse_window(query.args, now, default_s=1800)
        split(window, now, (HOURS,))  # raises where it is not kept
        return SessionsAsk(query.segments[2], window)

    async def local(self, ask: SessionsAsk, partitions: list[int]) -> SessionsPart:
        """Return what these partitions of `events` saw."""

        def check() -> None:
            if not all(map(self._sources.answers, partitions)):
                raise RecoveringError("partitions are moving to another worker")

        check()
        window = ask.window
        found = await self._sessions.read(ask.user_id, window.begin, window.end, check)
        part, turns = SessionsPart(), Turns()
        while found:  # taken apart: to free all of it at once would be a long turn, too
            part.append(_pack(dict(found.popitem() for _ in range(min(CHUNK, len(found))))))
            await turns.next()
        return part

    async def finish(self, ask: SessionsAsk, parts: list[SessionsPart]) -> Answer:
        """Return {"user_id", "active_sessions", "sessions": [...]}, the last seen first."""
        found, turns = dict[str, Session](), Turns()
        for part in parts:
            for packed in part:
                for session, seen in _unpack(packed).items():
                    found[session] = merged(found.get(session), seen)
                await turns.next()
        head = {"user_id": ask.user_id, "active_sessions": len(found)}
        items = list[tuple[str, Session]]()
        while found:  # as in local()
            items += [found.popitem() for _ in range(min(CHUNK, len(found)))]
            await turns.next()
        chunks = await in_buckets(items, CHUNK, _order)
        items.clear()
        shown = list[bytes]()
        for at, chunk in enumerate(chunks):
            chunk.sort(key=_order)
            shown.append(_json([_shown(session, *seen) for session, seen in chunk])[1:-1])
            chunks[at] = []
            await turns.next()
        return Answer(OK, b'%b,"sessions":[%b]}' % (_json(head)[:-1], b",".join(shown)), JSON)


def _order(found: tuple[str, Session]) -> bytes:
    """Return what sorts the last seen first, then by name."""
    session, (_, last_us, _) = found
    return _LAST.pack(LAST_US - last_us) + session.encode()


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
