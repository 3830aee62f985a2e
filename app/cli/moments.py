"""Times on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import click

from app.errors import InvalidTimestampError
from app.events.shapes import parse_time

DAY = re.compile(r"\d{4}-\d\d-\d\d")


class Moment(click.ParamType):
    """A time as events have it, or a day: its begin, UTC."""

    name = "T"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """Return the moment."""
        if isinstance(value, datetime):
            return value
        try:
            text = f"{value}T00:00:00Z" if DAY.fullmatch(value) else value
            return parse_time(float(text) if text.isdigit() else text, "T").astimezone(UTC)
        except InvalidTimestampError as exc:
            self.fail(f"{exc}. {exc.hint}", param, ctx)


def check_range(begin: datetime | None, end: datetime | None) -> None:
    """Raise UsageError where the range is empty."""
    if begin and end and begin >= end:
        raise click.UsageError("--from must be before --to")
