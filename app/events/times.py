"""Times as text. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def rfc3339(seconds: int) -> str:
    """Return e.g. 2024-03-15T14:30:00Z."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
