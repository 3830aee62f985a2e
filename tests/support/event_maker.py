"""Seeded random events of all shapes, each with what must be counted for it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.support.ledger import HOUR, RECENT_FROM_S, Fact

HOT_URLS = [f"https://www.example.net/hot/{n}?q=ü" for n in range(12)]
COLD_URLS = 300  # with the types and hours nearly as many rows as events: most are met once
PAST = [1_431_856_800, 1_431_867_600, 1_582_761_600]  # 2015-05-17T10:00Z, T13:00Z, 2020-02-27
RECENT_S = 3 * HOUR
COUNTER_TYPES = ("CLICK", "VIEW", "DOWNLOAD")
CLICKSTREAM_TYPES = ("productview", "purchase", "addtobasket", "removefrombasket")
ADS_TYPES = ("PageView", "AdImpression", "AdClick")
ANALYTICS_TYPES = ("page_view", "sign_up", "Größe")
ADS = ("34", "35", "ad/ü")
APP_TYPES = ("scroll", "swipe", None)
HASTY = 4  # users, each with many page views of one moment
CLICKERS = 12  # users who click so many ads that each third click is met often
IN_SESSIONS = 10  # users

Body = dict[str, Any]


class EventMaker:
    """Makes events; prefix: of their uuids, so that two makers share none."""

    def __init__(self, rng: random.Random, now_s: int, prefix: str = "") -> None:
        self._rng, self._now, self._prefix = rng, now_s, prefix
        self._made = 0
        self._cold = [f"/cold/{rng.getrandbits(40):x}" for _ in range(COLD_URLS)]
        self.messages = 0.5  # share of events with a message_id
        self.shapes: dict[str, Callable[[], tuple[Body, str, str | None, int | None]]] = {
            "counter": self._counter,
            "clickstream": self._clickstream,
            "ads": self._ads,
            "analytics": self._analytics,
            "app": self._app,
        }

    def make(self, shape: str = "") -> tuple[Fact, bytes]:
        """Return what an event counts as, and its JSON; any shape where none is given."""
        body, label, url, moment = self.shapes[shape or self._rng.choice([*self.shapes])]()
        self._made += 1
        uuid = f"{self._prefix}-{self._made}"
        body["uuid"] = uuid
        user, ad = _user_and_ad(body)
        clicked = body["Meta"]["AdId"] if label == "AdClick" else None
        session, hasty = body.get("session_id"), str(user).startswith("hasty")
        message = None
        if self._rng.random() < self.messages:
            message = f"m-{uuid}"
            body[self._rng.choice(["message_id", "messageId"])] = message
        fact = Fact(uuid, label, url, moment, user, ad, clicked, session, hasty, message)
        return fact, json.dumps(body).encode()

    def fault(self) -> tuple[bytes, str]:
        """Return the bytes of a record that must be rejected, each once, and the code."""
        self._made += 1
        uuid = f"{self._prefix}-fault-{self._made}"
        far = datetime.fromtimestamp(self._now + 5 * 86_400, UTC).isoformat()
        return self._rng.choice(
            [
                (f"no JSON {uuid}".encode(), "malformed_json"),
                (json.dumps([uuid]).encode(), "not_an_object"),
                (json.dumps({"uuid": uuid, "url": "/"}).encode(), "missing_type"),
                (json.dumps({"uuid": uuid, "type": 5.5}).encode(), "invalid_field"),
                (
                    json.dumps({"uuid": uuid, "type": "A", "timestamp": "soon"}).encode(),
                    "invalid_timestamp",
                ),
                (
                    json.dumps({"uuid": uuid, "type": "A", "timestamp": far}).encode(),
                    "timestamp_in_future",
                ),
                (json.dumps({"uuid": uuid, "type": "A" * 33_000}).encode(), "too_large"),
            ]
        )

    def key(self) -> bytes | None:
        """Return a record key: none, the same for many, or any bytes."""
        rng = self._rng
        return rng.choice([None, b"hot", b"", rng.randbytes(rng.randrange(1, 9))])

    def _url(self) -> str:
        return self._rng.choice(HOT_URLS if self._rng.random() < 0.4 else self._cold)

    def _moment(self) -> int | None:
        kind = self._rng.random()
        if kind < 0.4:
            return None
        if kind < 0.7:
            return self._now - self._rng.randrange(RECENT_S)
        return self._rng.choice(PAST) + self._rng.randrange(HOUR)

    def _spelled(self, moment: int) -> str | int:
        """One of the accepted spellings of a moment."""
        time = datetime.fromtimestamp(moment, UTC)
        east = time.astimezone(timezone(timedelta(hours=5, minutes=30)))
        spellings: list[str | int] = [
            f"{time:%Y-%m-%dT%H:%M:%SZ}",
            f"{time:%Y-%m-%dT%H:%M:%S}",
            f"{time:%Y-%m-%dT%H:%M:%SUTC}",
            east.isoformat(),
            moment,
            moment * 1000 + self._rng.randrange(1000),
        ]
        return self._rng.choice(spellings)

    def _timed(self, body: Body, name: str) -> int | None:
        """Give the body a time, or none; return it."""
        moment = self._moment()
        if moment is not None:
            body[name] = self._spelled(moment)
        return moment

    def _counter(self) -> tuple[Body, str, str | None, int | None]:
        label, url = self._rng.choice(COUNTER_TYPES), self._url()
        body: Body = {"url": url, "type": label, "ip": "323.3253.34.999"}
        return body, label, url, self._timed(body, "timestamp")

    def _clickstream(self) -> tuple[Body, str, str | None, int | None]:
        label = self._rng.choice(CLICKSTREAM_TYPES)
        body: Body = {"productId": "4pqurkxx3oku8yj", "eventName": label, "userId": self._user()}
        return body, label, None, self._timed(body, "date")

    def _ads(self) -> tuple[Body, str, str | None, int | None]:
        label, url = self._rng.choice(ADS_TYPES), self._url()
        user = f"clicker_{self._rng.randrange(CLICKERS)}"
        meta = {
            "UserId": user if self._rng.random() < 0.7 else self._user(),
            "AdId": self._rng.choice(ADS),
        }
        body: Body = {"Type": label, "Url": url, "Meta": meta}
        return body, label, url, self._timed(body, "timestamp")

    def _analytics(self) -> tuple[Body, str, str | None, int | None]:
        if self._rng.random() < 0.3:
            return self._hasty()
        label, url, number = (
            self._rng.choice(ANALYTICS_TYPES),
            self._url(),
            self._rng.randrange(100),
        )
        body: Body = {"user_id": f"usr_{number}", "event_type": label, "page_url": url}
        moment = self._timed(body, "timestamp")
        if number < IN_SESSIONS and (moment is None or moment > RECENT_FROM_S):
            body["session_id"] = f"sess_{self._rng.randrange(3)}"
        return body, label, url, moment

    def _hasty(self) -> tuple[Body, str, str | None, int | None]:
        """A page view among many with the same user and moment, spelled in whole seconds."""
        number, url = self._rng.randrange(HASTY), self._url()
        moment = self._now - self._now % HOUR - 600 * (number + 1)
        body: Body = {"user_id": f"hasty_{number}", "event_type": "page_view", "page_url": url}
        body["timestamp"] = self._rng.choice(
            [f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}", moment, moment * 1000]
        )
        return body, "page_view", url, moment

    def _app(self) -> tuple[Body, str, str | None, int | None]:
        action = self._rng.choice(APP_TYPES)
        body: Body = {
            "user_id": self._rng.randrange(100),
            "app_name": "product_1",
            "event_action": action,
            "event_category": self._rng.choice(["category_2", None]),
            "event_value": self._rng.choice([12, 1.5, None]),
        }
        return body, action or "null", None, None

    def _user(self) -> str:
        return f"usr_{self._rng.randrange(100)}"


def _user_and_ad(body: Body) -> tuple[str | None, str | None]:
    """Return the user of an event, and the ad of an impression."""
    meta = body.get("Meta", {})
    user = body.get("user_id", body.get("userId", meta.get("UserId")))
    ad = meta.get("AdId") if body.get("Type") == "AdImpression" else None
    return None if user is None else str(user), ad
