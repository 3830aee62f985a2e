"""Sends events to a faust-event-counter; see Client."""

from __future__ import annotations

from event_counter_client.client import Client, Stats
from event_counter_client.sender import Rejected
from event_counter_client.spool import SpoolError

__all__ = ["Client", "Rejected", "SpoolError", "Stats"]
