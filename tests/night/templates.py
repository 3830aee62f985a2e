"""Batches of events that cost nothing to make, and what each of them adds to the counts."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

SIZE = 1000  # events of a batch
PAGES, USERS, ADS = 500, 20_000, 50
NUMBER = b"@@@@@@@@@"  # stands for the number of a batch, in all of its events
TYPES = {"page_view": 50, "VIEW": 20, "CLICK": 10, "AdImpression": 5, "AdClick": 2, "purchase": 3}
APP_SHARE = 0.1


@dataclass(frozen=True)
class Template:
    """The body of a batch; counts: events by url and type; app: those that the archive keeps."""

    body: bytes
    counts: Counter[tuple[str, str]]
    app: int

    def numbered(self, number: int) -> bytes:
        """Return the body as batch NUMBER; its events have that as their product_id."""
        return self.body.replace(NUMBER, b"%09d" % number)


def template(rng: random.Random) -> Template:
    """Return a batch in which nobody has two events: the rules about users leave all of them."""
    counts: Counter[tuple[str, str]] = Counter()
    lines, app = [], 0
    for user in rng.sample(range(USERS), SIZE):
        event: dict[str, Any] = {"product_id": NUMBER.decode(), "user_id": f"u{user}"}
        if rng.random() < APP_SHARE:
            event |= {"type": "app", "app_name": "shop", "category": "c", "value": rng.randrange(9)}
            app += 1
        else:
            event["type"] = rng.choices([*TYPES], [*TYPES.values()])[0]
            event["session_id"] = f"s{user}"
        event["url"] = f"/page/{int(PAGES ** rng.random())}"  # few are hot, most are cold
        if event["type"].startswith("Ad"):
            event["ad_id"] = f"ad-{rng.randrange(ADS)}"
        counts[event["url"], event["type"]] += 1
        lines.append(json.dumps(event, separators=(",", ":")))
    return Template("\n".join(lines).encode(), counts, app)
