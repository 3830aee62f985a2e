"""Which moments a statistic is asked about, and which kept buckets make them up. Pure.

A window (at - window, at] consists of whole seconds: the one that `at` lies in is the last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from app.counting.spec import DAY, HOUR, MINUTE
from app.errors import BadRequestError, OutsideRetentionError
from app.events.event import EPOCH, FUTURE_LIMIT
from app.events.shapes import parse_time
from app.events.times import rfc3339

LONGEST_S = 31 * DAY
Clock = Callable[[], float]  # seconds since 1970
_WHOLE = re.compile(r"[0-9]{1,18}")
_EPOCH = re.compile(r"-?[0-9]+(\.[0-9]*)?")  # float() takes nan and 1_000, too
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")


@dataclass(frozen=True)
class Level:
    """Buckets of one size. span: seconds of a bucket. keeps: seconds until it is forgotten."""

    name: str
    span: int
    keeps: int

    def has(self, second: int, now: float) -> bool:
        """Whether the bucket of a second (since 1970) is still kept."""
        return second - second % self.span + self.span > now - self.keeps

    def oldest(self, now: float) -> int:
        """Return the start of the oldest bucket that is still kept."""
        return int((now - self.keeps) // self.span) * self.span


SECONDS = Level("s", 1, 2 * HOUR)
MINUTES = Level("m", MINUTE, 2 * DAY)
HOURS = Level("h", HOUR, 62 * DAY)
LEVELS = (SECONDS, MINUTES, HOURS)


class Window(NamedTuple):
    """The seconds (at - size, at]; at: since 1970."""

    at: int
    size: int

    @property
    def begin(self) -> int:
        """The first second."""
        return self.at - self.size + 1

    @property
    def end(self) -> int:
        """The second after the last one."""
        return self.at + 1


class Run(NamedTuple):
    """The buckets of a level in [begin, end), seconds since 1970, both at a bucket's edge."""

    level: Level
    begin: int
    end: int


def split(window: Window, now: float, levels: Sequence[Level] = LEVELS) -> list[Run]:
    """Return the fewest buckets that make up a window, in order.

    levels: finest first, each kept longer and a multiple of the one before. now: seconds since
    1970. Where the levels that an edge needs are forgotten it is moved outwards to the next
    bucket that is kept, so no event of the window is left out.
    Raises OutsideRetentionError where the begin of the window is not kept at all.
    """
    _check_kept(window.begin, now, levels[-1])
    finest = next(level for level in levels if level.has(window.begin, now))
    at, runs = window.begin - window.begin % finest.span, list[Run]()
    while at < window.end:
        kept = [level for level in levels if level.has(at, now)]
        fitting = [one for one in kept if not at % one.span and at + one.span <= window.end]
        level = fitting[-1] if fitting else kept[0]
        until = max(window.end - window.end % level.span, at + level.span)
        for wider in kept[kept.index(level) + 1 : kept.index(level) + 2]:
            edge = at - at % wider.span + wider.span
            if edge + wider.span <= window.end:
                until = min(until, edge)
        if runs and runs[-1].level is level:  # the last bucket reaches beyond the window
            at = runs.pop().begin
        runs.append(Run(level, at, until))
        at = until
    return runs


def parse_window(
    args: Mapping[str, str], now: float, *, default_s: int, longest_s: int = LONGEST_S
) -> Window:
    """Return the window of the arguments window= (seconds) and at= (RFC 3339, default now).

    Raises BadRequestError.
    """
    text = args.get("window", str(default_s))
    if not _WHOLE.fullmatch(text) or not int(text):
        raise BadRequestError(
            f"window={text[:40]} is not a number of seconds from 1 to {longest_s}"
        )
    if int(text) > longest_s:
        days = longest_s / DAY
        raise BadRequestError(
            f"window={text} is too long; the longest is {longest_s} s, {days:g} d"
        )
    return Window(parse_at(args, now), int(text))


def parse_at(args: Mapping[str, str], now: float) -> int:
    """Return the second of at=, default now; raise BadRequestError, also for the far future."""
    time = time_of(args, "at")
    if time is None:
        return int(now)
    if time.timestamp() > now + FUTURE_LIMIT.total_seconds():
        raise BadRequestError(f"at={args['at']} is in the future")
    return int(time.timestamp())


def parse_limit(args: Mapping[str, str], *, default: int, most: int) -> int:
    """Return limit=, how many at most; raise BadRequestError."""
    text = args.get("limit", str(default))
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= most:
        raise BadRequestError(f"limit={text[:40]} is not a number from 1 to {most}")
    return int(text)


def time_of(args: Mapping[str, str], name: str) -> datetime | None:
    """Return a time of the arguments, RFC 3339 or epoch; None where it is absent or empty.

    Raises InvalidTimestampError.
    """
    text = args.get(name)
    if not text:
        return None
    if _EPOCH.fullmatch(text):
        return parse_time(float(text), name)
    return parse_time(text.replace(" ", "+"), name)  # a + that was not escaped in the query


class Month(NamedTuple):
    """A calendar month in UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, second: int) -> Month:
        """Return the month of a second since 1970."""
        time = datetime.fromtimestamp(second, UTC)
        return cls(time.year, time.month)

    @property
    def begin(self) -> int:
        """The first second, since 1970."""
        return int(datetime(self.year, self.number, 1, tzinfo=UTC).timestamp())

    @property
    def end(self) -> int:
        """The first second of the next month."""
        return Month(self.year + self.number // 12, self.number % 12 + 1).begin

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


def parse_month(args: Mapping[str, str], at: int) -> Month:
    """Return the month of month=2026-11, default the one of `at` (seconds since 1970).

    Raises BadRequestError, also for a month before 1970.
    """
    text = args.get("month")
    if text is None:
        return Month.of(at)
    found = _MONTH.fullmatch(text)
    month = Month(int(found[1]), int(found[2])) if found else Month(0, 0)
    if not (EPOCH.year <= month.year < 2106 and 1 <= month.number <= 12):  # noqa: PLR2004
        raise BadRequestError(f"month={text[:40]} is not a month; write it like 2026-11")
    return month


def _check_kept(begin: int, now: float, level: Level) -> None:
    if not level.has(begin, now):
        oldest = rfc3339(max(0, int(now) - level.keeps))
        raise OutsideRetentionError(
            f"the window begins at {rfc3339(max(0, begin))}; kept are {level.keeps // DAY} days, "
            f"since {oldest}"
        )
