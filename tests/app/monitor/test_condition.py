"""What is wrong, since when, in words."""

from __future__ import annotations

import pytest

from app.monitor.condition import (
    Conditions,
    Finding,
    WorkerState,
    group_findings,
    kafka_finding,
    lag_table,
    loss_findings,
    read_metrics,
    sink_findings,
    worker_finding,
)
from app.monitor.rates import Rates

METRICS = """# HELP event_counter_sink_away 1 while a sink cannot be written to.
event_counter_sink_away{sink="event"} 1.0
event_counter_sink_away{sink="redis"} 0.0
event_counter_lag_records{group="x.event-counter-store",topic="events",partition="10"} 7.0
event_counter_lag_records{group="x.event-counter-store",topic="events",partition="2"} 12400.0
"""
LOSSES = """# TYPE event_counter_events_lost_total counter
event_counter_events_lost_total{role="store"} 1200.0
event_counter_events_lost_total{role="archive"} 0.0
"""


def rates(received: float, **lag: int) -> Rates:
    """Return rates; lag: per role."""
    waiting = {(f"x.event-counter-{role}", "x.events-0"): n for role, n in lag.items()}
    return Rates(0.0, received, 0.0, 0.0, 0.0, waiting)


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in findings]


@pytest.mark.parametrize(
    ("received", "waiting", "level"),
    [(0, 0, "ok"), (0, 20, "ok"), (0, 21, "bad"), (1000, 10_000, "ok"), (1000, 12_400, "bad")],
)
def test_behind_is_who_has_not_done_what_came_ten_seconds_ago(
    received: float, waiting: int, level: str
) -> None:
    (found,) = group_findings(rates(received, store=waiting))
    assert found.level == level


def test_a_group_that_is_behind_is_told_with_a_number() -> None:
    found = told(list(group_findings(rates(0, store=12_400))))
    assert found == [("bad", "Storing: behind, 12,400 events waiting")]
    assert list(group_findings(None)) == []


def test_the_line_and_the_table_of_waiting_events_say_the_same() -> None:
    seen = WorkerState("store-1", lag={("store", "x.events-0"): 43_500, ("store", "x.counts-0"): 1})
    looked = rates(0, store=22_500)
    (found,) = group_findings(looked)
    assert found.text == "Storing: behind, 22,500 events waiting"
    assert ["events", 22_500] in lag_table([seen], "x.", looked)["rows"]
    assert ["counts", 1] in lag_table([seen], "x.", looked)["rows"]


def test_a_group_keeps_its_name_after_a_rebuild() -> None:
    rebuilt = Rates(0.0, 0.0, 0.0, 0.0, 0.0, {("x.event-counter-count-v2", "x.events-0"): 0})
    (found,) = group_findings(rebuilt)
    assert found == ("count group", "ok", "there", "Counting: up to date")


def test_metrics_tell_of_sinks_and_partitions() -> None:
    seen = WorkerState("store-1")
    read_metrics(seen, METRICS)
    assert worker_finding(seen).text == "store-1: running"
    lost = "Postgres: unavailable, events wait in Kafka, none is lost (reported by store-1)"
    assert told(list(sink_findings([seen]))) == [("bad", lost), ("ok", "Redis: OK")]
    assert lag_table([seen, WorkerState("away", answers=False)], "", None) == {
        "groups": ["store"],
        "rows": [["events", 12_407], ["events-2", 12_400], ["events-10", 7]],
    }


def test_what_kafka_lost_is_told_by_role_and_number() -> None:
    workers = [WorkerState(f"store-{number}") for number in (1, 2)]
    for seen in workers:
        read_metrics(seen, LOSSES)
    text = "Storing: Kafka lost 2,400 events that it had not read yet"
    assert told(list(loss_findings(workers))) == [("warn", text)]


def test_the_topic_that_most_groups_read_comes_first() -> None:
    count = WorkerState("c", lag={("count", "my.counts-0"): 1, ("count", "my.events-0"): 2})
    store = WorkerState("s", lag={("store", "my.events-0"): 3, ("store", "my.events-1"): 4})
    assert lag_table([count, store], "my.", None)["rows"] == [
        ["events", 2, 7],
        ["counts", 1, None],
        ["counts-0", 1, None],
        ["events-0", 2, 3],
        ["events-1", None, 4],
    ]


def test_a_store_is_away_once_whoever_says_so() -> None:
    workers = [
        WorkerState("count-1", away={"redis": True}),
        WorkerState("count-2", away={"redis": False}),
    ]
    ((level, text),) = told(list(sink_findings([*workers, WorkerState("count-3", answers=False)])))
    assert (level, text.endswith("(reported by count-1)")) == ("bad", True)


def test_a_worker_that_is_silent_or_not_ready_is_named() -> None:
    assert told([worker_finding(WorkerState("a", answers=False))]) == [
        ("bad", "a: does not answer")
    ]
    assert worker_finding(WorkerState("a", problem="the tables are being restored")).level == "warn"
    assert kafka_finding("refused").level == "bad"
    assert kafka_finding("").level == "ok"


def test_since_stays_while_the_state_does_and_troubles_come_first() -> None:
    conditions = Conditions()
    fine, behind = Finding("a", "ok", "ready", "a works"), Finding("b", "bad", "behind", "b: 5")
    assert [f["since"] for f in conditions.note([fine, behind], 1000)] == [1000, 1000]
    more = behind._replace(text="b: 9")
    found = conditions.note([fine, more], 2000)
    assert [(f["name"], f["since"], f["text"]) for f in found] == [
        ("b", 1000, "b: 9"),
        ("a", 1000, "a works"),
    ]
    again = conditions.note([fine, Finding("b", "ok", "ready", "b works")], 3000)
    assert {f["name"]: f["since"] for f in again} == {"a": 1000, "b": 3000}
