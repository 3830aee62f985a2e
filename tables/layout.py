"""Whether rows were written under the settings of now: others would begin a counter anew at 0."""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import SettingsError
from app.settings import Settings

# What is a duplicate, and what a bot; all other numbers are counters.
DUPLICATES, BOTS = 0, 255
COUNTER_SETTINGS = "EVENT_COUNTER_HOURLY_RETENTION_DAYS and EVENT_COUNTER_STATISTICS"
DUPLICATE_SETTINGS = "EVENT_COUNTER_DEDUPE_HOURS and EVENT_COUNTER_DEDUPE_UUID"
BOT_SETTINGS = "EVENT_COUNTER_BOT_LIMIT"
REBUILD = "or count anew under the new one: event-counter rebuild tables"
OTHER_NAMESPACE = (
    "or count anew under another EVENT_COUNTER_NAMESPACE with an empty database and Redis"
)


def rules(settings: Settings) -> dict[int, int]:
    """Return numbers for the settings that say what does not count."""
    duplicates = settings.dedupe_hours * 2 + settings.dedupe_uuid
    bots = {BOTS: settings.bot_limit} if settings.statistics else {}
    return {DUPLICATES: duplicates, **bots}


def check(before: Mapping[int, int], layout: Mapping[int, int]) -> None:
    """Raise SettingsError where something is kept in another way than before; new is fine."""
    changed = {number for number in before if layout.get(number) != before[number]}
    if not changed:
        return
    what, names, else_ = f"counters {sorted(changed)} were kept", COUNTER_SETTINGS, OTHER_NAMESPACE
    if DUPLICATES in changed:
        what, names = "duplicates were judged", DUPLICATE_SETTINGS
    elif changed == {BOTS}:
        what, names, else_ = "bots were judged", BOT_SETTINGS, REBUILD
    raise SettingsError(f"{what} in another way until now; set {names} back, {else_}")
