"""Times as text. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = len("2024-03-15T14:30:00")  # strftime takes ten times as long


@lru_cache(maxsize=4096)
def rfc3339(seconds: int) -> str:
    """Return e.g. 2024-03-15T14:30:00Z."""
    return f"{(EPOCH + timedelta(seconds=seconds)).isoformat()[:SECOND]}Z"
