"""What is a page view and what a click. Pure."""

from __future__ import annotations

from app.event_names import AD_CLICK

PAGE_VIEWS = frozenset({"page_view", "PageView", "VIEW"})
CLICKS = frozenset({AD_CLICK, "CLICK", "click"})
