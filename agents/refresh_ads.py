"""Task refresh_ads: impressions and visitors per ad and month into ad_month."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import Any

from app.errors import UnavailableError
from app.stores.ad_months import SINK, AdMonths, AdRow
from app.stores.refresh import Refresher, RowSource, rest_s


def register(
    app: Any,
    impressions: RowSource[AdRow],
    visitors: RowSource[AdRow],
    table: AdMonths,
    interval_s: float,
) -> None:
    """Add the task to the app; it writes at each interval and ends months that are over."""
    refreshers = (
        Refresher(SINK, table.sink("impressions"), impressions),
        Refresher(SINK, table.sink("visitors"), visitors),
    )

    @app.task
    async def refresh_ads() -> None:
        took_s = 0.0
        try:
            while not app.should_stop:
                await app.sleep(rest_s(interval_s, took_s))
                began = monotonic()
                complete = [await refresher.cycle() for refresher in refreshers]
                if all(complete):
                    with suppress(UnavailableError):  # at the next interval then
                        await table.finish()
                took_s = monotonic() - began
        finally:
            table.close()
