"""What the rules about users must make of the log, found independently, and what workers answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from tests.support.ledger import Fact, Place

BOT_LIMIT = 10
THIRD = 3
DAY = 86_400
Answer = Callable[[str], Awaitable[dict[str, Any]]]


@dataclass
class Judgement:
    """bots: places of the page views left out. The rest: counts by what the names say."""

    bots: set[Place] = field(default_factory=set)
    bots_by_type: Counter[str] = field(default_factory=Counter)
    bots_by_user: Counter[str] = field(default_factory=Counter)
    counted_clicks: Counter[tuple[str, str]] = field(default_factory=Counter)  # ad, website
    sessions: dict[tuple[str, str], list[int]] = field(default_factory=dict)  # seconds of events

    def expected(self) -> dict[Any, int]:
        """Return all of it in one."""
        found: dict[Any, int] = {("bots", label): n for label, n in self.bots_by_type.items()}
        found |= {("bot", user): n for user, n in self.bots_by_user.items()}
        found |= {("click", *place): n for place, n in self.counted_clicks.items()}
        for (user, session), seconds in self.sessions.items():
            found["events", user, session] = len(seconds)
            found["first", user, session] = min(seconds)
            found["last", user, session] = max(seconds)
        return found


def judgement_of(records: dict[Place, tuple[Fact, int]]) -> Judgement:
    """Return what the rules make of the valid records of a log: fact and second of each."""
    found, seen, clicks = Judgement(), Counter[Any](), Counter[Any]()
    sessions = defaultdict[Any, list[int]](list)
    for place, (fact, second) in sorted(records.items()):
        partition = place[0]
        if fact.hasty:
            seen[partition, fact.user, fact.moment] += 1
            if seen[partition, fact.user, fact.moment] > BOT_LIMIT:
                found.bots.add(place)
                found.bots_by_type[fact.type] += 1
                found.bots_by_user[fact.user or ""] += 1
                continue
        if fact.clicked is not None:
            clicks[partition, fact.user] += 1
            if clicks[partition, fact.user] % THIRD == 0:
                found.counted_clicks[fact.clicked, _website(fact.url or "")] += 1
        if fact.session is not None:
            sessions[fact.user, fact.session].append(second)
    found.sessions = dict(sessions)
    return found


def _website(url: str) -> str:
    return url.removeprefix("https://").split("/")[0]


async def judged_by(answer: Answer, judgement: Judgement) -> dict[Any, int]:
    """Return the same as count workers answer it, the sessions of recent events only."""
    found: dict[Any, int] = {}
    total = (await answer("/counts/bot_views_by_type"))["total"]
    found |= {("bots", label): n for label, n in total.items()}
    for user in judgement.bots_by_user:
        shown = await answer(f"/counts/bot_views_by_user_hourly?key={quote(user)}")
        found["bot", user] = sum(shown["total"].values())
    for ad in {ad for ad, _ in judgement.counted_clicks}:
        shown = await answer(f"/counts/counted_clicks_by_ad_daily?key={quote(ad)}")
        found |= {("click", ad, website): n for website, n in shown["total"].items()}
    for user in {user for user, _ in judgement.sessions}:
        shown = await answer(f"/stats/users/{quote(user)}/sessions?window={DAY}")
        for session in shown["sessions"]:
            name = session["session_id"]
            found["events", user, name] = session["events"]
            found["first", user, name] = _second(session["first_seen"])
            found["last", user, name] = _second(session["last_seen"])
    return found


def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
