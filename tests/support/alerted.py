"""Whether the topic `alerts` holds one alert for each window that the rules speak of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
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
