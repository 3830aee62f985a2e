"""Whether the topic `alerts` holds one alert for each window that the rules speak of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.alerting.alert_rules import load_rules
from app.alerting.alerts import Rule
from app.counting.spec import URL
from app.events.derived import website
from app.settings import Settings
from tables.counters import declare
from tests.support.ledger import RECENT_FROM_S

Place = tuple[str, str, str]  # rule, key, window start


def alerts_in(values: Iterable[bytes]) -> Counter[Place]:
    """Return how often each place has an alert in the topic."""
    alerts = map(json.loads, values)
    return Counter((alert["rule"], alert["key"], alert["window_start"]) for alert in alerts)


async def alerts_of(
    settings: Settings, urls: Iterable[str], counts: Callable[[str, str], Awaitable[Any]]
) -> Counter[Place]:
    """Return one alert for each place that must have one, by what the tables answer.

    counts: (counter, key) -> the answer of GET /counts/.
    """
    found: Counter[Place] = Counter()
    counters = declare(settings)
    for rule in load_rules(settings, counters):
        names = set(urls) if counters[rule.counter].key is URL else {website(url) for url in urls}
        for key in sorted(names):
            windows = (await counts(rule.counter, key))["windows"]
            found.update((rule.name, key, window["start"]) for window in _full(rule, windows))
    return found


def _full(rule: Rule, windows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for window in windows:
        recent = datetime.fromisoformat(window["start"]).timestamp() > RECENT_FROM_S
        if recent and window["counts"].get(rule.label, 0) >= rule.threshold:
            yield window


@dataclass(frozen=True)
class OwnRule:
    """A rule of a counter of a counters.toml; falls: whether its value may, as a sum does."""

    name: str
    counter: str
    label: str
    threshold: Decimal
    falls: bool = False

    @property
    def toml(self) -> str:
        """Return it as in a rules file."""
        return (
            f'[[rule]]\nname = "{self.name}"\ncounter = "{self.counter}"\n'
            f'threshold = {self.threshold}\nlabel = "{self.label}"\n'
        )

    def full(self, windows: Iterable[dict[str, Any]]) -> Iterable[str]:
        """Return the starts of the windows that have reached it."""
        for window in windows:
            if window["counts"].get(self.label, 0) >= self.threshold:
                yield window["start"]


async def wrong_of_own(
    rules: Iterable[OwnRule],
    values: Iterable[bytes],
    keys: Iterable[str],
    counts: Callable[[str, str], Awaitable[Any]],
) -> list[object]:
    """Return what is wrong with the values of the topic, by what the tables answer.

    counts: (counter, key) -> the answer of GET /counts/. Each rule has some alert.
    """
    alerts = [json.loads(value, parse_float=Decimal) for value in values]
    by_name = {rule.name: rule for rule in rules}
    raised = Counter((one["rule"], one["key"], one["window_start"]) for one in alerts)
    full = {
        (rule.name, key, start)
        for key in keys
        for rule in by_name.values()
        for start in rule.full((await counts(rule.counter, key))["windows"])
    }
    fell = {place for place in raised.keys() - full if by_name[place[0]].falls}
    silent = by_name.keys() - {name for name, _, _ in raised}
    twice = [place for place, times in raised.items() if times > 1]
    low = [one for one in alerts if one["count"] < by_name[one["rule"]].threshold]
    return [*silent, *twice, *sorted((raised.keys() ^ full) - fell), *low]
