"""Whether rows were written under the settings of now: others would begin a counter anew at 0."""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import SettingsError

DUPLICATES = 0  # what is a duplicate; all other numbers are counters
COUNTER_SETTINGS = "EVENT_COUNTER_HOURLY_RETENTION_DAYS and EVENT_COUNTER_STATISTICS"
DUPLICATE_SETTINGS = "EVENT_COUNTER_DEDUPE_HOURS and EVENT_COUNTER_DEDUPE_UUID"


def check(before: Mapping[int, int], layout: Mapping[int, int]) -> None:
    """Raise SettingsError where something is kept in another way than before; new is fine."""
    changed = {number for number in before if layout.get(number) != before[number]}
    if not changed:
        return
    what, names = f"counters {sorted(changed)} were kept", COUNTER_SETTINGS
    if DUPLICATES in changed:
        what, names = "duplicates were judged", DUPLICATE_SETTINGS
    raise SettingsError(
        f"{what} in another way until now; set {names} back, or count anew under another "
        "EVENT_COUNTER_NAMESPACE with an empty database and Redis"
    )
