"""What runs, what is behind and since when, in words. Pure: observations in, findings out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from app.monitor.rates import WINDOW_S, Rates

Level = Literal["ok", "warn", "bad"]

SLACK = 20  # events; a commit that is a moment late is no news
ROLES = {"count": "counting", "store": "storing", "archive": "archiving"}
SINKS = {  # what is said while it is away, and while it is there
    "event": (
        "Postgres cannot be written to: events wait in Kafka, none is lost",
        "Postgres takes events",
    ),
    "summary": (
        "event_summary is not refreshed: its Postgres is away",
        "event_summary is refreshed",
    ),
    "ads": ("ad_month is not refreshed: its Postgres is away", "ad_month is refreshed"),
    "redis": ("Redis cannot be written to: its live counts are old", "Redis takes live counts"),
}
SAMPLE = re.compile(r"^event_counter_(sink_away|lag_records)\{([^}]*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


class Finding(NamedTuple):
    """One line; state: while it stays the same, so does the moment since when it is so."""

    name: str
    level: Level
    state: str
    text: str


@dataclass
class Seen:
    """One look at a worker: problem is "" where it answers and is ready.

    away: {sink: whether it cannot write to it}. lag: records, {(group, topic-partition): n}.
    """

    name: str
    problem: str = ""
    answers: bool = True
    away: dict[str, bool] = field(default_factory=dict)
    lag: dict[tuple[str, str], int] = field(default_factory=dict)


def read_metrics(seen: Seen, text: str) -> None:
    """Take what GET /metrics of a worker says about sinks and partitions."""
    for name, labels, value in SAMPLE.findall(text):
        found = dict(LABEL.findall(labels))
        if name == "lag_records":
            place = f"{found['topic']}-{found['partition']}"
            seen.lag[short(found["group"]), place] = int(float(value))
        else:
            seen.away[found["sink"]] = bool(float(value))


def short(group: str) -> str:
    """Return the role of a group: count for event-counter-count, under any namespace."""
    return group.rpartition("event-counter-")[2]


def of_worker(seen: Seen) -> Finding:
    """Return the finding about a worker."""
    if not seen.answers:
        return Finding(seen.name, "bad", "silent", f"{seen.name} does not answer")
    if seen.problem:
        return Finding(seen.name, "warn", "unready", f"{seen.name} is not ready: {seen.problem}")
    return Finding(seen.name, "ok", "ready", f"{seen.name} works")


def of_sinks(workers: Iterable[Seen]) -> Iterable[Finding]:
    """Yield a finding about each store that some worker writes to."""
    told: dict[str, list[str]] = {}  # sink: who cannot write to it
    for seen in workers:
        for sink, is_away in seen.away.items():
            told.setdefault(sink, []).extend([seen.name] if is_away else [])
    for sink, names in told.items():
        away, there = SINKS.get(sink, (f"{sink} is away", f"{sink} is there"))
        if names:
            yield Finding(sink, "bad", "away", f"{away} (says {', '.join(names)})")
        else:
            yield Finding(sink, "ok", "there", there)


def of_kafka(problem: str) -> Finding:
    """Return the finding about Kafka; problem: "" while it takes events."""
    if problem:
        return Finding("kafka", "bad", "away", f"Kafka takes no events: {problem}")
    return Finding("kafka", "ok", "ready", "Kafka takes events")


def of_groups(rates: Rates | None) -> Iterable[Finding]:
    """Yield how far each group is: behind is who has not done what came 10 s ago.

    What came in the last WINDOW_S may still be on its way; whatever waits beyond that is late.
    """
    for group, waiting in sorted((rates.lag if rates else {}).items()):
        role = short(group)
        doing = ROLES.get(role, role)
        if rates and waiting > rates.received * WINDOW_S + SLACK:
            text = f"{doing} has been behind: {waiting:,} events waiting"
            yield Finding(f"{role} group", "bad", "behind", text)
        else:
            yield Finding(f"{role} group", "ok", "there", f"{doing} is up to date")


def lag_table(workers: Iterable[Seen], namespace: str) -> dict[str, Any]:
    """Return {"groups", "rows"}: records that wait, by topic, then by partition.

    A row: [topic or partition, ...], a number for each group, null where nobody says. The topic
    that most groups read comes first. namespace: left out of the names.
    """
    lag: dict[tuple[str, str], int] = {}
    for seen in workers:
        for (group, place), waiting in seen.lag.items():
            lag[group, place.removeprefix(namespace)] = waiting
    groups = sorted({group for group, _ in lag})
    of_topic = Counter[tuple[str, str]]()
    for (group, place), waiting in lag.items():
        of_topic[group, _by_number(place)[0]] += waiting
    readers = Counter(topic for _, topic in of_topic)
    topics = sorted(readers, key=lambda topic: (-readers[topic], topic))
    places = sorted({place for _, place in lag}, key=_by_number)
    rows = [[topic, *(of_topic.get((group, topic)) for group in groups)] for topic in topics]
    rows += [[place, *(lag.get((group, place)) for group in groups)] for place in places]
    return {"groups": groups, "rows": rows}


def _by_number(place: str) -> tuple[str, int]:
    topic, _, number = place.rpartition("-")
    return topic, int(number)


class Conditions:
    """Remembers since when each finding is as it is."""

    def __init__(self) -> None:
        self._since: Mapping[str, tuple[str, int]] = {}

    def note(self, findings: Iterable[Finding], now_ms: int) -> list[dict[str, Any]]:
        """Return [{"name", "level", "text", "since"}], troubles first; since: ms since 1970."""
        known, since, found = self._since, {}, []
        for name, level, state, text in findings:
            before = known.get(name)
            begun = before[1] if before and before[0] == state else now_ms
            since[name] = state, begun
            found.append({"name": name, "level": level, "text": text, "since": begun})
        self._since = since
        return sorted(found, key=lambda finding: ("bad", "warn", "ok").index(finding["level"]))
