"""Rules that need a user's earlier events: bots, and every third ad click. Pure: no Faust, no I/O.

Both look at the events of one source partition in the order of their offsets, and remember the
offsets that they decided on. After a crash the memory may be ahead of the counts, or behind: the
same events come again, and get the same verdict again (docs/decisions/rules.md).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.batches import Judged, Slice
from app.event_names import AD_CLICK

PAGE_VIEWS = frozenset({"page_view", "PageView", "VIEW"})
CLICKS = frozenset({AD_CLICK, "CLICK", "click"})

BOT_MEMORY = 86_400  # s; a page view that arrives later is not judged, so the memory is bounded
# Times are floats, 0.24 us apart: half a microsecond less is between "just under" and "just a day".
_MEMORY = BOT_MEMORY - 5e-7
COUNTED_CLICK = 3  # of the ad clicks of a user, each third one counts

View = tuple[str, float, int]  # user, time, offset
# The page views of one second, by user: those of one time, as most users have but one; those of
# other times by (user, time).
Accepted = dict[str | tuple[str, float], tuple[View, ...]]


@dataclass
class Memory:
    """What the rules know about one source partition.

    views: second -> accepted page views. clicks: user -> how many ad clicks are certainly past, and
    the offsets of those after them. fresh, clicked: what must be written, as it is new or came
    again: page views by second, users. Whoever keeps this elsewhere loads the seconds and users of
    needs() before judge().
    """

    views: dict[int, Accepted] = field(default_factory=dict)
    clicks: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
    fresh: dict[int, list[View]] = field(default_factory=dict)
    clicked: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Needs:
    """The places in a slice that a rule looks at, and what it must know for them."""

    views: list[int]
    clicks: list[int]
    seconds: set[int]
    users: set[str]


def needs(part: Slice) -> Needs:
    """Return what of a slice is judged: explicit page views that are not too late, ad clicks."""
    views = [
        place
        for place, (event, time, received) in enumerate(
            zip(part.events, part.times, part.received, strict=True)
        )
        if event.type in PAGE_VIEWS
        and time != received  # else decode() filled it in, or it tells no more
        and received - time < _MEMORY
        and event.user_id is not None
    ]
    clicks = []
    if AD_CLICK in {event.type for event in part.events}:
        clicks = [
            place
            for place, event in enumerate(part.events)
            if event.type == AD_CLICK and event.ad_id is not None and event.user_id is not None
        ]
    seconds = {int(time) for time in {part.times[place] for place in views}}
    users = {part.events[place].user_id or "" for place in clicks}
    return Needs(views, clicks, seconds, users)


def judge(part: Slice, memory: Memory, limit: int, found: Needs | None = None) -> Judged:
    """Sort the events of one source partition, by offset, and remember what was decided.

    limit: page views of a user with the same explicit timestamp that count. found: needs(part).
    """
    found = found or needs(part)
    bots = _bots(part, found.views, memory, limit)
    counted = _every_third(part, found.clicks, memory)
    human = part
    if bots:
        human = part.where([place not in bots for place in range(len(part.events))])
    return Judged(human, _places(part, sorted(bots)), _places(part, counted))


def _bots(part: Slice, places: Iterable[int], memory: Memory, limit: int) -> set[int]:
    """Return the places of page views that come after the first `limit` of their kind."""
    events, offsets, times = part.events, part.offsets, part.times
    bots = set()
    second, accepted, fresh = -1, Accepted(), list[View]()
    for place in places:
        user, time = events[place].user_id or "", times[place]
        if (at := int(time)) != second:
            second, accepted = at, memory.views.setdefault(at, {})
            fresh = memory.fresh.setdefault(at, [])
        view = user, time, offsets[place]
        if user not in accepted:
            accepted[user] = (view,)
        elif not accept(accepted, view, limit):
            bots.add(place)
            continue
        fresh.append(view)
    return bots


def accept(accepted: Accepted, view: View, limit: int) -> bool:
    """Remember a page view; False: there are as many of its user and time. Twice is once."""
    user, time, _ = view
    known = accepted.get(user)
    key: str | tuple[str, float] = user
    if known is not None and known[0][1] != time:
        key = user, time
        known = accepted.get(key)
    if known is None:
        accepted[key] = (view,)
    elif view not in known:
        if len(known) >= limit:
            return False
        accepted[key] = (*known, view)
    return True


def _every_third(part: Slice, places: Iterable[int], memory: Memory) -> list[int]:
    """Return the places of the 3rd, 6th, 9th … ad clicks of their users."""
    counted = []
    for place in places:
        user, offset = part.events[place].user_id or "", part.offsets[place]
        past, later = memory.clicks.setdefault(user, (0, []))
        at = bisect_left(later, offset)
        if at == len(later) or later[at] != offset:
            later.insert(at, offset)
        memory.clicked.add(user)
        if (past + at + 1) % COUNTED_CLICK == 0:
            counted.append(place)
    return counted


def settled(clicks: tuple[int, list[int]], committed: int) -> tuple[int, list[int]]:
    """Return a user's clicks without the offsets below a position that nothing goes back to."""
    past, later = clicks
    done = bisect_left(later, committed)
    return past + done, later[done:]


def _places(part: Slice, places: list[int]) -> Slice:
    """Return the events at some places."""
    return Slice(*([column[place] for place in places] for column in part))  # type: ignore[arg-type]
