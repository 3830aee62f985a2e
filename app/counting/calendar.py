"""Hours and days of a time zone, and how kept windows add up to them. Pure.

A day has 23, 24 or 25 hours where clocks change; it begins at its first moment, which is 01:00
where midnight is skipped.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from app.counting.spec import DAY, HOUR
from app.errors import BadRequestError

SHOWN_MAX = 60  # characters of a wrong argument
DAYS_CHECKED = 1000  # some milliseconds
Unit = Literal["1h", "1d"]
UTC = ZoneInfo("UTC")


def zone_of(name: str) -> ZoneInfo:
    """Return a zone by its IANA name, Europe/Berlin; raise BadRequestError where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:  # not there, a path, a folder of zones
        raise BadRequestError(
            f"tz={name[:SHOWN_MAX]} is not a time zone; write it like Europe/Berlin"
        ) from exc


@dataclass(frozen=True)
class Buckets:
    """Hours or days of a zone."""

    unit: Unit
    zone: ZoneInfo = UTC

    def start_of(self, second: int) -> int:
        """Return the first second of the bucket of a second; both since 1970."""
        local = datetime.fromtimestamp(second, self.zone)
        if self.unit == "1d":
            return day_begin(local.date(), self.zone)
        return second - local.minute * 60 - local.second

    def after(self, start: int) -> int:
        """Return the first second behind the bucket that begins at start."""
        if self.unit == "1d":
            day = datetime.fromtimestamp(start, self.zone).date()
            return day_begin(day + timedelta(days=1), self.zone)
        return self.start_of(start + HOUR)

    def bounds(self, day: date) -> tuple[int, int]:
        """Return [begin, end) of a day, seconds since 1970."""
        return day_begin(day, self.zone), day_begin(day + timedelta(days=1), self.zone)

    def add_up(
        self, windows: Mapping[int, Mapping[str, int]], window: int
    ) -> Generator[None, None, dict[int, dict[str, int]]]:
        """Return {start of the bucket: {label: count}} of {start of the window: {label: count}}.

        window: seconds. In steps of a window each. Raises BadRequestError as check().
        """
        added: dict[int, dict[str, int]] = {}
        start, end = 0, 0
        for at in sorted(windows):
            if not start <= at < end:
                start = self.start_of(at)
                end = self.after(start)
                self._check_cuts((start, end), window)
            labels = added.setdefault(start, {})
            for label, count in windows[at].items():
                labels[label] = labels.get(label, 0) + count
            yield
        return added

    def check(self, window: int, begin: int, end: int) -> None:
        """Raise BadRequestError where windows of so many seconds do not make up the buckets.

        begin, end: of what is asked for, seconds since 1970. Looks at the last DAYS_CHECKED days,
        so that the answer does not depend on what was counted; add_up() looks at all it adds.
        """
        if window > (HOUR if self.unit == "1h" else DAY):
            raise BadRequestError(f"by={self.unit} is finer than the windows of {window} s")
        days = range(max(begin, end - DAYS_CHECKED * DAY), end, DAY)
        self._check_cuts((self.start_of(second) for second in days), window)

    def _check_cuts(self, starts: Iterable[int], window: int) -> None:
        for start in starts:
            if start % window:
                raise BadRequestError(
                    f"windows of {window} s cannot be split where {self.zone} has "
                    f"{local_text(start, self.zone)}; "
                    "leave tz= out, or use a counter with smaller windows"
                )


def buckets_of(args: Mapping[str, str]) -> Buckets | None:
    """Return the buckets of the arguments by= and tz=, None where by= is absent.

    Raises BadRequestError.
    """
    unit, zone = args.get("by"), args.get("tz")
    if unit is None:
        if zone is not None:
            raise BadRequestError("tz= needs by=1h or by=1d")
        return None
    units: dict[str, Unit] = {"1h": "1h", "1d": "1d"}
    if unit not in units:
        raise BadRequestError(f"by={unit[:SHOWN_MAX]} is neither 1h nor 1d")
    return Buckets(units[unit], zone_of(zone) if zone is not None else UTC)


def day_begin(day: date, zone: ZoneInfo) -> int:
    """Return the first second of a day in a zone, since 1970."""
    # Where midnight is skipped its offset is the one before the change: the moment of the change.
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def local_text(second: int, zone: ZoneInfo) -> str:
    """Return a moment as RFC 3339 in a zone: 2026-03-29T00:00:00+01:00, or …Z in UTC."""
    text = datetime.fromtimestamp(second, zone).isoformat()
    return text.removesuffix("+00:00") + "Z" if zone == UTC else text
