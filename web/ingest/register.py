"""Every call that takes events, on the app of a collector."""

from __future__ import annotations

from typing import Any

from app.ingest.collector import Collector
from app.settings import Settings
from web.ingest import collect, pixel, plausible, segment_views, umami
from web.ingest.keys import WriteKeys
from web.ingest.senders import Senders


def register(app: Any, collector: Collector, settings: Settings) -> None:
    """Add the views; raise SettingsError for rules of urls that cannot be read."""
    keys, senders = WriteKeys(settings), Senders(settings)
    collect.register(app, collector, settings, keys, senders)
    segment_views.register(app, collector, keys, senders, settings.base_path)
    plausible.register(app, collector, keys, senders)
    umami.register(app, collector, keys, senders)
    pixel.register(app, collector, keys, senders)
