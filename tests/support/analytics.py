"""Events of a small shop, for statistics."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

Event = dict[str, str]


def analytics(rng: random.Random, at: datetime, count: int, bots: dict[str, int]) -> list[Event]:
    """Return events of the two hours before a moment: forty users, a few pages, and bots.

    bots: {user: page views of one moment}.
    """
    pages = [
        f"https://shop.example/products/{name}"
        for name in ("electronics", "books", "toys", "garden", "food")
    ]
    events = []
    for number in range(count - sum(bots.values())):
        user = f"usr_{rng.randrange(40)}"
        then = at - timedelta(seconds=rng.randrange(2 * 3600), microseconds=number)
        event = {
            "timestamp": then.isoformat(),
            "user_id": user,
            "event_type": "page_view" if rng.random() < 0.8 else "add_to_cart",
            "page_url": rng.choice([*pages, "shop.example"])
            if rng.random() < 0.5
            else f"/p/{number % 200}é",
            "session_id": f"{user}-{rng.randrange(3)}",
        }
        events.append(event)
    for bot, burst in bots.items():
        moment = (at - timedelta(seconds=rng.randrange(60, 3000))).isoformat()
        page = {"event_type": "page_view", "page_url": rng.choice(pages), "session_id": bot}
        events += [{"timestamp": moment, "user_id": bot, **page}] * burst
    rng.shuffle(events)
    return events
