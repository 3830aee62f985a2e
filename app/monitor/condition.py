"""What runs, what is behind and since when, in words. Pure: observations in, findings out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from app.monitor.rates import WINDOW_S, Rates

Severity = Literal["ok", "warn", "bad"]

SLACK = 20  # events; a commit that is a moment late is no news
GROUPS = {"count": "Counting", "store": "Storing", "archive": "Archive"}
SINKS = {  # name, and what it means that it cannot be written to
    "event": ("Postgres", "events wait in Kafka, none is lost"),
    "summary": ("event_summary", "not refreshed, its Postgres does not answer"),
    "ads": ("ad_month", "not refreshed, its Postgres does not answer"),
    "redis": ("Redis", "live counts are out of date"),
}
VERSION = re.compile(r"-v\d+$")  # of the tables, see app.kafka.tables_version


class Finding(NamedTuple):
    """One line; state: while it stays the same, so does the moment since when it is so."""

    name: str
    level: Severity
    state: str
    text: str


@dataclass
class WorkerState:
    """One look at a worker: problem is "" where it answers and is ready.

    away: {sink: whether it cannot write to it}. lag: records, {(group, topic-partition): n}.
    lost: events since it was started, {role: n}.
    """

    name: str
    problem: str = ""
    answers: bool = True
    away: dict[str, bool] = field(default_factory=dict)
    lag: dict[tuple[str, str], int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)


def read_metrics(seen: WorkerState, text: str) -> None:
    """Take what GET /metrics of a worker says about sinks, partitions and losses.

    Raises ValueError for a text of another format.
    """
    for family in text_string_to_metric_families(text):
        if family.name == "event_counter_lag_records":
            for sample in family.samples:
                labels = sample.labels
                place = f"{labels['topic']}-{labels['partition']}"
                seen.lag[short(labels["group"]), place] = int(sample.value)
        elif family.name == "event_counter_sink_away":
            seen.away |= {sample.labels["sink"]: bool(sample.value) for sample in family.samples}
        else:
            for sample in family.samples:  # a family has the name without _total
                if sample.name == "event_counter_events_lost_total":
                    seen.lost[sample.labels["role"]] = int(sample.value)


def short(group: str) -> str:
    """Return the role of a group: count for event-counter-count-v2, under any namespace."""
    return VERSION.sub("", group.rpartition("event-counter-")[2])


def worker_finding(seen: WorkerState) -> Finding:
    """Return the finding about a worker."""
    if not seen.answers:
        return Finding(seen.name, "bad", "silent", f"{seen.name}: does not answer")
    if seen.problem:
        return Finding(seen.name, "warn", "unready", f"{seen.name}: not ready, {seen.problem}")
    return Finding(seen.name, "ok", "ready", f"{seen.name}: running")


def sink_findings(workers: Iterable[WorkerState]) -> Iterable[Finding]:
    """Yield a finding about each store that some worker writes to."""
    told: dict[str, list[str]] = {}  # sink: who cannot write to it
    for seen in workers:
        for sink, is_away in seen.away.items():
            told.setdefault(sink, []).extend([seen.name] if is_away else [])
    for sink, names in told.items():
        name, meaning = SINKS.get(sink, (sink, "writes fail"))
        if names:
            text = f"{name}: unavailable, {meaning} (reported by {', '.join(names)})"
            yield Finding(sink, "bad", "away", text)
        else:
            yield Finding(sink, "ok", "there", f"{name}: OK")


def loss_findings(workers: Iterable[WorkerState]) -> Iterable[Finding]:
    """Yield a finding about each role that has lost events since its workers were started."""
    lost = Counter[str]()
    for seen in workers:
        lost.update(seen.lost)
    for role, count in sorted(lost.items()):
        if count:
            text = f"{GROUPS.get(role, role)}: Kafka lost {count:,} events that it had not read yet"
            yield Finding(f"{role} lost", "warn", "lost", text)


def kafka_finding(problem: str) -> Finding:
    """Return the finding about Kafka; problem: "" while it takes events."""
    if problem:
        return Finding("kafka", "bad", "away", f"Kafka: unavailable, {problem}")
    return Finding("kafka", "ok", "ready", "Kafka: OK")


def group_findings(rates: Rates | None) -> Iterable[Finding]:
    """Yield how far each group is: behind is who has not done what came 10 s ago.

    What came in the last WINDOW_S may still be on its way; whatever waits beyond that is late.
    """
    for group, waiting in sorted((rates.lag if rates else {}).items()):
        role = short(group)
        name = GROUPS.get(role, role)
        if rates and waiting > rates.received * WINDOW_S + SLACK:
            text = f"{name}: behind, {waiting:,} events waiting"
            yield Finding(f"{role} group", "bad", "behind", text)
        else:
            yield Finding(f"{role} group", "ok", "there", f"{name}: up to date")


def lag_table(
    workers: Iterable[WorkerState], namespace: str, rates: Rates | None
) -> dict[str, Any]:
    """Return {"groups", "rows"}: records that wait, by topic, then by partition.

    A row: [topic or partition, ...], a number for each group, null where nobody says. The topic
    that most groups read comes first. namespace: left out of the names. rates: as of
    group_findings(); their figures are shown rather than the workers', which are of other moments.
    """
    lag: dict[tuple[str, str], int] = {}
    for seen in workers:
        for (group, place), waiting in seen.lag.items():
            lag[group, place.removeprefix(namespace)] = waiting
    for (group, place), waiting in (rates.waiting if rates else {}).items():
        lag[short(group), place.removeprefix(namespace)] = waiting
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
