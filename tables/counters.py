"""The declared counters: a declaration each, no code in any agent."""

from __future__ import annotations

from app.counters import DAY, EVERYTHING, HOUR, MINUTE, TYPE, URL, Counters, CounterSpec
from app.settings import Settings


def declare(settings: Settings) -> Counters:
    """Return all counters; numbers of counters that are gone are not used again."""
    days = settings.hourly_retention_days
    return Counters(
        (
            CounterSpec(
                1,
                "events_by_url",
                "Events per url and type, of all time",
                window=None,
                retention=None,
                key=URL,
                label=TYPE,
                # As long as the hours are kept for good, their sum is the total: half the rows.
                sum_of="" if days else "events_by_url_hourly",
            ),
            _hourly(days),
            CounterSpec(
                4,
                "events_by_type",
                "Events per type, of all time",
                window=None,
                retention=None,
                key=EVERYTHING,
                label=TYPE,
            ),
            CounterSpec(
                5,
                "events_by_type_minutely",
                "Events per type and minute",
                window=MINUTE,
                retention=2 * DAY,
                key=EVERYTHING,
                label=TYPE,
            ),
        )
    )


def _hourly(days: int) -> CounterSpec:
    """Return events_by_url_hourly, kept for so many days; 0: for good."""
    return CounterSpec(
        2 if not days else 3,  # the rows are laid out differently
        "events_by_url_hourly",
        "Events per url, type and UTC hour",
        window=HOUR,
        retention=days * DAY or None,
        key=URL,
        label=TYPE,
    )
