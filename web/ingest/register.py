"""Every call that takes events, on the app of a collector."""

from __future__ import annotations

from typing import Any

from app.ingest.collector import Collector
from app.settings import Settings
from web.ingest import collect, plausible, segment_views, umami
from web.ingest.keys import WriteKeys


def register(app: Any, collector: Collector, settings: Settings) -> None:
    """Add the views."""
    keys = WriteKeys(settings)
    collect.register(app, collector, settings, keys)
    segment_views.register(app, collector, keys)
    plausible.register(app, collector, keys)
    umami.register(app, collector, keys)
