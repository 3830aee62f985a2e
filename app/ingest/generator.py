"""Random events of each shape, the same ones for the same seed and clock. No I/O."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from typing import Literal

from app.events.packing import PackedRecord

Shape = Literal["counter", "clickstream", "ads", "analytics", "app"]

PAGES = 200
BOT_SHARE = 0.1  # of all events, where there are bots
BOT_BURST = 50  # page views of a bot with the same timestamp; the limit is 10
ADS = 50
SESSIONS_OF_A_USER = 3
SECOND_US = 1_000_000

COUNTER_TYPES = (b"CLICK", b"VIEW")
CLICKSTREAM_TYPES = (b"productview", b"addtobasket", b"removefrombasket", b"purchase")
ADS_TYPES = (b"PageView", b"AdImpression", b"AdClick")
ANALYTICS_TYPES = (b"page_view", b"click", b"search", b"purchase")
APP_ACTIONS = (b'"scroll"', b'"click"', b'"login"', b'"purchase"', b"null")
APP_CATEGORIES = (b'"category_1"', b'"category_2"', b'"category_3"', b"null")

Pair = tuple[bytes, bytes]  # record key, JSON


class Generator:
    """An endless stream of events.

    users: how many different ones there are (in the counter shape: addresses). bots: users who
    send bursts of page views with the same timestamp, in the analytics shape.
    """

    def __init__(self, shape: Shape, *, users: int = 1000, bots: int = 0, seed: int = 1) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - no secrets
        make: dict[str, Callable[[int, int], list[Pair]]] = {
            "counter": self._counter,
            "clickstream": self._clickstream,
            "ads": self._ads,
            "analytics": self._analytics,
            "app": self._app,
        }
        self._make = make[shape]
        self._users = users
        self._bots = [_Bot(b"bot_%d" % number) for number in range(1, bots + 1)]
        # Page n is visited in proportion to 1/n, as on a real site.
        self._weights = list(accumulate(1 / n for n in range(1, PAGES + 1)))

    def events(self, count: int, now_us: int) -> list[PackedRecord]:
        """Return the next events: key (as the collector's), JSON, and ms since 1970.

        now_us: microseconds since 1970. Shapes with a timestamp get one per microsecond from
        there, so that none but a bot sends two page views of the same moment.
        """
        bots = 0
        if self._bots:
            bots = sum(self._rng.random() < BOT_SHARE for _ in range(count))
        pairs = self._make(count - bots, now_us)
        if bots:
            pairs += [self._rng.choice(self._bots).page_view(now_us) for _ in range(bots)]
            self._rng.shuffle(pairs)
        now_ms = now_us // 1000
        return [(key, value, now_ms) for key, value in pairs]

    def _some_users(self, count: int) -> list[int]:
        return [int(self._rng.random() * self._users) for _ in range(count)]

    def _some_pages(self, count: int, pages: Sequence[bytes]) -> list[bytes]:
        return self._rng.choices(pages, cum_weights=self._weights, k=count)

    def _counter(self, count: int, _now_us: int) -> list[Pair]:
        choices, bits = self._rng.choices, self._rng.getrandbits
        pages = self._some_pages(count, _SITE_PAGES)
        types = choices(COUNTER_TYPES, k=count)
        pairs = []
        for user, page, label in zip(self._some_users(count), pages, types, strict=True):
            ip = b"10.%d.%d.%d" % (user >> 16 & 255, user >> 8 & 255, user & 255)
            text = b'{"uuid":"%032x","url":"%b","type":"%b","ip":"%b"}'
            pairs.append((ip, text % (bits(128), page, label, ip)))
        return pairs

    def _clickstream(self, count: int, now_us: int) -> list[Pair]:
        date = f"{datetime.fromtimestamp(now_us // SECOND_US, UTC):%Y-%m-%dT%H:%M:%SUTC}".encode()
        products = self._some_pages(count, _PRODUCTS)
        types = self._rng.choices(CLICKSTREAM_TYPES, weights=(70, 15, 5, 10), k=count)
        text = b'{"date":"%b","productId":"%b","eventName":"%b","userId":"%b"}'
        return [
            (user := b"user_%d" % number, text % (date, product, label, user))
            for number, product, label in zip(self._some_users(count), products, types, strict=True)
        ]

    def _ads(self, count: int, _now_us: int) -> list[Pair]:
        types = self._rng.choices(ADS_TYPES, weights=(50, 40, 10), k=count)
        pages = self._some_pages(count, _SITE_PAGES)
        ads = [int(self._rng.random() * ADS) for _ in range(count)]
        text = b'{"Type":"%b","Url":"%b","Meta":{"UserId":"%b","AdId":"%d"}}'
        return [
            (user := b"user_%d" % number, text % (label, page, user, ad))
            for number, page, label, ad in zip(
                self._some_users(count), pages, types, ads, strict=True
            )
        ]

    def _analytics(self, count: int, now_us: int) -> list[Pair]:
        types = self._rng.choices(ANALYTICS_TYPES, weights=(70, 20, 7, 3), k=count)
        pages = self._some_pages(count, _SHOP_PAGES)
        sessions = [int(self._rng.random() * SESSIONS_OF_A_USER) for _ in range(count)]
        pairs = []
        for place, (number, page, label, session) in enumerate(
            zip(self._some_users(count), pages, types, sessions, strict=True)
        ):
            user = b"user_%d" % number
            name = b"sess_%d_%d" % (number, session)
            pairs.append((user, _analytics(now_us + place, user, label, page, name)))
        return pairs

    def _app(self, count: int, _now_us: int) -> list[Pair]:
        choices = self._rng.choices
        columns = zip(
            self._some_users(count),
            choices((b"product_1", b"product_2", b"product_3"), k=count),
            choices(APP_ACTIONS, weights=(50, 30, 10, 5, 5), k=count),
            choices(APP_CATEGORIES, k=count),
            choices((*(b"%d" % number for number in range(1, 10)), b"null"), k=count),
            strict=True,
        )
        text = (
            b'{"user_id":%d,"app_name":"%b","event_action":%b,"event_category":%b,"event_value":%b}'
        )
        return [(b"%d" % row[0], text % row) for row in columns]


class _Bot:
    """A user with bursts of page views of one moment."""

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._left = 0
        self._moment_us = 0

    def page_view(self, now_us: int) -> Pair:
        """Return the next one; a new burst begins at now_us."""
        if not self._left:
            self._left, self._moment_us = BOT_BURST, max(now_us, self._moment_us + 1)
        self._left -= 1
        session = b"sess_" + self._name
        return self._name, _analytics(
            self._moment_us, self._name, b"page_view", _SHOP_PAGES[0], session
        )


def _analytics(time_us: int, user: bytes, label: bytes, page: bytes, session: bytes) -> bytes:
    second, rest = divmod(time_us, SECOND_US)
    return (
        b'{"timestamp":"%b.%06dZ","user_id":"%b","event_type":"%b","page_url":"%b",'
        b'"session_id":"%b"}'
    ) % (_second_text(second), rest, user, label, page, session)


@lru_cache(maxsize=16)
def _second_text(second: int) -> bytes:
    """Return a UTC second as 2024-03-15T14:30:00."""
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}".encode()


_SITE_PAGES = [
    b"%b/page_%d" % (site, number)
    for number in range(1, PAGES // 4 + 1)
    for site in (b"example.net", b"example.org", b"shop.example.com", b"news.example.com")
]
_SHOP_PAGES = [b"/", *(b"/products/%d" % number for number in range(1, PAGES))]
_PRODUCTS = [b"product_%d" % number for number in range(1, PAGES + 1)]
