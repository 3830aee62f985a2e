"""Dimensions of where an event comes from, for counters that are declared by their operator."""

from __future__ import annotations

from functools import partial

from app.counting.spec import Dimension
from app.events import visitor

VISITOR_DIMENSIONS = {
    dimension.name: dimension
    for dimension in (
        Dimension("browser", visitor.browser),
        Dimension("os", visitor.system),
        Dimension("device", visitor.device),
        Dimension("referrer_host", visitor.referrer_host),
        *(Dimension(name, partial(visitor.campaign, name=name)) for name in visitor.CAMPAIGN),
    )
}
