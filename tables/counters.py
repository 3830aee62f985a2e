"""The declared counters: a declaration each, no code in any agent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.counting.counters import Counters
from app.counting.rules import CLICKS, PAGE_VIEWS
from app.counting.spec import (
    AD,
    AD_KIND,
    DAY,
    EVERYTHING,
    HOUR,
    MINUTE,
    PAGE,
    TYPE,
    TYPES,
    URL,
    USER,
    WEBSITE,
    CounterSpec,
    Dimension,
    Of,
)
from app.events.derived import AD_KINDS
from app.settings import Settings

# How long the levels of a statistic are kept: a window is answered with whole hours, minutes at
# its edges, and seconds at the very edges.
KEPT_SECONDS, KEPT_MINUTES, KEPT_HOURS = 2 * HOUR, 2 * DAY, 62 * DAY


AD_TYPES = frozenset(AD_KINDS)


def declare(
    settings: Settings, own: Iterable[CounterSpec] = (), dropped: Iterable[CounterSpec] = ()
) -> Counters:
    """Return all counters; numbers of counters that are gone are not used again.

    own, dropped: those of a counters.toml, see app.wiring.own_counters.
    """
    statistics = (
        (*_page_views(settings.hourly_retention_days), *_ads(), CLICKS_BY_WEBSITE, *_bots())
        if settings.statistics
        else ()
    )
    duplicates = (DUPLICATES_BY_TYPE,) if settings.dedupe_hours else ()
    return Counters(
        (*_plain(settings.hourly_retention_days), *statistics, *duplicates, *own), dropped
    )


def _plain(days: int) -> tuple[CounterSpec, ...]:
    """Return the counters of all events; days: how long the hours are kept, 0: for good."""
    kept_hours = days * DAY or None
    return (
        # As long as the hours are kept for good, their sum is the total: half the rows.
        replace(EVENTS_BY_URL, sum_of="" if days else "events_by_url_hourly"),
        CounterSpec(
            2 if not days else 3,  # the rows are laid out differently
            "events_by_url_hourly",
            "Events per url, type and UTC hour",
            window=HOUR,
            retention=kept_hours,
            key=URL,
            label=TYPE,
        ),
        EVENTS_BY_TYPE,
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


EVENTS_BY_URL = CounterSpec(
    1,
    "events_by_url",
    "Events per url and type, of all time",
    window=None,
    retention=None,
    key=URL,
    label=TYPE,
)
DUPLICATES_BY_TYPE = CounterSpec(
    24,
    "duplicates_by_type",
    "Events that were sent before per type, of all time",
    window=None,
    retention=None,
    key=EVERYTHING,
    label=TYPE,
    of="duplicate",
)
EVENTS_BY_TYPE = CounterSpec(
    TYPES,
    "events_by_type",
    "Events per type, of all time",
    window=None,
    retention=None,
    key=EVERYTHING,
    label=TYPE,
)


def _levels(
    number: int,
    name: str,
    description: str,
    key: Dimension,
    of: Of = "human",
    types: frozenset[str] = frozenset(),
) -> tuple[CounterSpec, ...]:
    """Return a counter by second, minute and hour; number: of the first, the others follow."""
    levels = (
        ("secondly", "second", 1, KEPT_SECONDS, 60),
        ("minutely", "minute", MINUTE, KEPT_MINUTES, 60),
        ("hourly", "hour", HOUR, KEPT_HOURS, 24),
    )
    return tuple(
        CounterSpec(
            number + place,
            f"{name}_{level}",
            f"{description} per UTC {unit}",
            window=window,
            retention=kept,
            key=key,
            label=EVERYTHING,
            of=of,
            types=types,
            row_windows=windows,
        )
        for place, (level, unit, window, kept, windows) in enumerate(levels)
    )


def _page_views(days: int) -> tuple[CounterSpec, ...]:
    """Return the counters of page views; days: how long the hours of urls are kept, 0: for good.

    A row that expires sooner than what it carries would begin it anew.
    """
    carrier = "" if days else "events_by_url_hourly"
    levels = _levels(10, "page_views_by_page", "Page views of a url", URL, types=PAGE_VIEWS)
    return (
        *(replace(level, carried_by=carrier) for level in levels),
        CounterSpec(
            13,
            "page_views_by_website_hourly",
            "Page views per website, page and UTC hour",
            window=HOUR,
            retention=None,
            key=WEBSITE,
            label=PAGE,
            types=PAGE_VIEWS,
        ),
    )


def _ads() -> tuple[CounterSpec, ...]:
    """Return the counters of ads, by UTC day."""
    return (
        CounterSpec(
            14,
            "ad_events_by_ad_daily",
            "Impressions and clicks per ad and UTC day",
            window=DAY,
            retention=None,
            key=AD,
            label=AD_KIND,
            types=AD_TYPES,
        ),
        CounterSpec(
            15,
            "ad_events_daily",
            "Impressions and clicks of all ads per UTC day",
            window=DAY,
            retention=None,
            key=EVERYTHING,
            label=AD_KIND,
            types=AD_TYPES,
        ),
        CounterSpec(
            16,
            "counted_clicks_by_ad_daily",
            "Every third ad click of a user, per ad, website and UTC day",
            window=DAY,
            retention=None,
            key=AD,
            label=WEBSITE,
            of="counted_click",
        ),
    )


CLICKS_BY_WEBSITE = CounterSpec(
    17,
    "clicks_by_website_hourly",
    "Clicks per website and UTC hour",
    window=HOUR,
    retention=KEPT_HOURS,
    key=WEBSITE,
    label=EVERYTHING,
    types=CLICKS,
)


def _bots() -> tuple[CounterSpec, ...]:
    """Return the counters of what the bot rule left out."""
    return (
        *_levels(20, "bot_views_by_user", "Page views of a user left out", USER, of="bot"),
        CounterSpec(
            23,
            "bot_views_by_type",
            "Page views left out per type, of all time",
            window=None,
            retention=None,
            key=EVERYTHING,
            label=TYPE,
            of="bot",
        ),
    )
