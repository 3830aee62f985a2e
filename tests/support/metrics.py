"""Figures of this process, as GET /metrics shows them."""

from __future__ import annotations

from prometheus_client import REGISTRY


def passed_records(topic: str) -> float:
    """Return how many records of a topic were passed as none of ours."""
    name = "event_counter_records_unreadable_total"
    return REGISTRY.get_sample_value(name, {"topic": topic}) or 0.0
