"""Whether rows were written under the settings of now: others would begin a counter anew at 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.counting.counters import Counters
from app.counting.spec import CounterSpec
from app.errors import SettingsError
from app.settings import Settings
from tables.outcome_row import OUTCOMES_ROW
from tables.partial_values import Partial, decode_partial
from tables.unreadable import check_key

LAYOUT = b"\0layout"  # key of how each counter is kept; only in the table, not in `counts`
OWN_ROWS = {LAYOUT, OUTCOMES_ROW}

# What is a duplicate, and what a bot; all other numbers are counters.
DUPLICATES, BOTS = 0, 255
OF_STATISTICS = range(10, 24)  # counters
STATISTICS_SETTING = "EVENT_COUNTER_STATISTICS"
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
    """Raise SettingsError where something is kept in another way than before; new is fine.

    But for statistics: what was counted without them has no page views left out as bots'.
    """
    changed = {number for number in before if layout.get(number) != before[number]}
    what, names, else_ = f"counters {sorted(changed)} were kept", COUNTER_SETTINGS, OTHER_NAMESPACE
    if DUPLICATES in changed:
        what, names = "duplicates were judged", DUPLICATE_SETTINGS
    elif changed == {BOTS}:
        what, names, else_ = "bots were judged", BOT_SETTINGS, REBUILD
    elif not changed and before and has_statistics(layout) and not has_statistics(before):
        what, names, else_ = "events were counted", STATISTICS_SETTING, REBUILD
    elif not changed:
        return
    raise SettingsError(f"{what} in another way until now; set {names} back; {else_}")


def has_statistics(rows: Mapping[int, int]) -> bool:
    """Whether tables were counted with statistics; rules were not always noted."""
    return BOTS in rows or any(number in rows for number in OF_STATISTICS)


def check_partial(key: bytes, value: bytes, specs: Mapping[int, CounterSpec]) -> None:
    """Raise one of UNREADABLE where these are no row of the partials; specs: by number."""
    check_key(key, specs, OWN_ROWS)
    decode_partial(value)


class LayoutRow:
    """The row LAYOUT of Partials. _cache, dirty: its rows in memory, by partition."""

    counters: Counters
    _rules: Mapping[int, int]
    _checked: set[int]
    _cache: Any
    dirty: Any

    def db(self, partition: int) -> Any:
        """Return the RocksDB of a partition."""
        raise NotImplementedError

    def layout_of(self, partition: int) -> dict[int, int]:
        """Return how rows are kept; raise SettingsError where it was in another way."""
        layout = {**self.counters.layout(), **self._rules}
        if (stored := self.db(partition).get(LAYOUT)) is not None:
            check(decode_partial(stored).cells, layout)
        return layout

    def check_layout(self, partition: int) -> None:
        """Note how rows are kept; raise SettingsError where it was in another way."""
        if partition in self._checked:
            return
        layout = self.layout_of(partition)
        self._cache[partition][LAYOUT] = Partial(len(layout), layout)
        self.dirty[partition].add(LAYOUT)
        self._checked.add(partition)
