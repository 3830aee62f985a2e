"""Rules that need a user's earlier events: bots, and every third ad click. Pure: no Faust, no I/O.

Both look at the events of one source partition in the order of their offsets, and remember what
they decided on by offset. After a crash the memory may be ahead of the counts, or behind: the same
events come again, and get the same verdict again (docs/internals/decisions/rules.md).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import compress, pairwise

import numpy as np

from app.events.batches import Slice, Verdicts
from app.events.derived import AD_CLICK

PAGE_VIEWS = frozenset({"page_view", "PageView", "VIEW"})
CLICKS = frozenset({AD_CLICK, "CLICK", "click"})
AD_CLICKS = frozenset({AD_CLICK})

BOT_MEMORY = 86_400  # s; a page view that arrives later is not judged, so the memory is bounded
# Times are floats, 0.24 us apart: half a microsecond less is between "just under" and "just a day".
_MEMORY = BOT_MEMORY - 5e-7
COUNTED_CLICK = 3  # of the ad clicks of a user, each third one counts

NAME_MAX = 128  # characters; of a longer user only a digest is remembered

View = tuple[str, float, int]  # user, or short() of it, time, offset


def short(user: str) -> str:
    """Return what stands for a user: the same, or a digest of a long one."""
    if len(user) <= NAME_MAX:
        return user
    return f"\0{blake2b(user.encode(), digest_size=16).hexdigest()}"


@dataclass(slots=True)
class Accepted:
    """The accepted page views of one second.

    first: of each user, as most have but one. more: offsets of the others, by user and time.
    """

    first: dict[str, View] = field(default_factory=dict)
    more: dict[tuple[str, float], list[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.first) + sum(map(len, self.more.values()))

    def add_firsts(self, views: dict[str, View]) -> bool:
        """Add a page view each of users who are all new; False: some are not, nothing is done."""
        if not self.first.keys().isdisjoint(views):
            return False
        self.first.update(views)
        return True

    def add(self, view: View, limit: int) -> bool:
        """Add a page view; False: there are as many of its user and time. Twice is once."""
        user, time, offset = view
        first = self.first.setdefault(user, view)
        if first == view:
            return True
        of_time = self.more.setdefault((user, time), [])
        if offset not in of_time:
            if len(of_time) + (first[1] == time) >= limit:
                return False
            of_time.append(offset)
        return True

    def has(self, view: View) -> bool:
        """Whether a page view is one of them."""
        user, time, offset = view
        return self.first.get(user) == view or offset in self.more.get((user, time), ())


@dataclass(slots=True)
class Clicks:
    """How many ad clicks of a user lie below some positions of the partition.

    These are facts of the log, so it does no harm to know more of them than were committed. A
    replay begins where a batch ended, and there is a fact for the end of each batch with a click:
    some hundred bytes for a user with any number of clicks.
    """

    positions: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def number(self, offsets: Iterable[int], end: int) -> list[int]:
        """Return which click of the user each of these is, and note how many lie below end.

        offsets: of all clicks from a position that is known up to end, in their order.
        """
        numbers, known, number = [], -2, 0
        for offset in offsets:
            place = bisect_right(self.positions, offset) - 1
            if place != known:
                known, number = place, self.counts[place] if place >= 0 else 0
            number += 1
            numbers.append(number)
        place = bisect_left(self.positions, end)
        if self.positions[place : place + 1] != [end]:
            if place - 1 > known and place:  # clicks that are forgotten lie behind the last one
                number = self.counts[place - 1]
            self.positions.insert(place, end)
            self.counts.insert(place, number)
        return numbers

    def settle(self, committed: int) -> None:
        """Forget what only a replay from below a position would need."""
        done = max(0, bisect_right(self.positions, committed) - 1)
        del self.positions[:done], self.counts[:done]


@dataclass
class Memory:
    """What the rules know about one source partition.

    views: second -> accepted page views. clicks: by user. fresh, clicked: what must be written, as
    it is new or came again: page views by second, users. Whoever keeps this elsewhere loads the
    seconds and users of needs() before judge().
    """

    views: dict[int, Accepted] = field(default_factory=dict)
    clicks: dict[str, Clicks] = field(default_factory=dict)
    fresh: dict[int, list[View]] = field(default_factory=dict)
    clicked: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Needs:
    """The places in a slice that a rule looks at, those of page views by second, and whose."""

    views: dict[int, list[int]]
    clicks: list[int]
    users: set[str]


def needs(part: Slice) -> Needs:
    """Return what of a slice is judged: explicit page views that are not too late, ad clicks."""
    views: list[int] = []
    if part.has_any(PAGE_VIEWS):
        late = np.array(part.received) - part.moments
        # No difference: decode() filled the time in, or it tells no more.
        judged = np.array(part.of_types(PAGE_VIEWS)) & (late != 0) & (late < _MEMORY)
        users = part.users
        views = [place for place in np.flatnonzero(judged).tolist() if users[place] is not None]
    clicks = []
    if part.has_any(AD_CLICKS):
        clicks = [
            place
            for place in compress(range(len(part.events)), part.of_types(AD_CLICKS))
            if part.events[place].ad_id is not None and part.users[place] is not None
        ]
    return Needs(_by_second(part, views), clicks, {part.users[place] or "" for place in clicks})


def _by_second(part: Slice, places: list[int]) -> dict[int, list[int]]:
    """Return places by the second of their events, in their order within it."""
    if not places:
        return {}
    seconds = part.seconds[places]
    if (np.diff(seconds) < 0).any():
        order = np.argsort(seconds, kind="stable")
        seconds, places = seconds[order], np.array(places)[order].tolist()
    edges = [0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist(), len(places)]
    return {
        second: places[begin:end]
        for second, (begin, end) in zip(seconds[edges[:-1]].tolist(), pairwise(edges), strict=True)
    }


def judge(part: Slice, memory: Memory, limit: int, found: Needs | None = None) -> Verdicts:
    """Sort the events of one source partition, by offset, and remember what was decided.

    limit: page views of a user with the same explicit timestamp that count. found: needs(part).
    """
    found = found or needs(part)
    bots: set[int] = set()
    for second, places in found.views.items():
        bots.update(_bots(part, second, places, memory, limit))
    counted = _every_third(part, found.clicks, memory)
    human = part
    if bots:
        human = part.where([place not in bots for place in range(len(part.events))])
    return Verdicts(human, part.at(sorted(bots)), part.at(counted))


def _bots(part: Slice, second: int, places: list[int], memory: Memory, limit: int) -> Iterable[int]:
    """Return the places of page views that come after the first `limit` of their kind.

    places: of the page views of a second.
    """
    accepted = memory.views.setdefault(second, Accepted())
    fresh = memory.fresh.setdefault(second, [])
    users, offsets, times = part.users, part.offsets, part.times
    views: list[View] = [
        (
            user if len(user := users[place] or "") <= NAME_MAX else short(user),
            times[place],
            offsets[place],
        )
        for place in places
    ]
    by_user = {view[0]: view for view in views}
    if len(by_user) == len(views) and accepted.add_firsts(by_user):  # nearly always
        fresh += views
        return ()
    bots = []
    for place, view in zip(places, views, strict=True):
        if accepted.add(view, limit):
            fresh.append(view)
        else:
            bots.append(place)
    return bots


def _every_third(part: Slice, places: Iterable[int], memory: Memory) -> list[int]:
    """Return the places of the 3rd, 6th, 9th … ad clicks of their users."""
    by_user: dict[str, list[int]] = {}
    for place in places:
        by_user.setdefault(part.users[place] or "", []).append(place)
    counted, offsets = [], part.offsets
    for user, clicked in by_user.items():
        clicks = memory.clicks.setdefault(user, Clicks())
        numbers = clicks.number([offsets[place] for place in clicked], offsets[-1] + 1)
        counted += [
            place for place, n in zip(clicked, numbers, strict=True) if n % COUNTED_CLICK == 0
        ]
    memory.clicked.update(by_user)
    return sorted(counted)
