"""Browser, system, device, campaign and referrer of an event."""

from __future__ import annotations

import pytest

from app.counting.visitor_dimensions import VISITOR_DIMENSIONS
from app.events import visitor
from app.events.event import Event

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Safari/537.36"
SAFARI = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {APPLE}"
IPAD = f"Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) {APPLE}"
PHONE = f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Mobile Safari/537.36"
TABLET = f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Safari/537.36"
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"


@pytest.mark.parametrize(
    ("user_agent", "browser", "system", "device"),
    [
        (CHROME, "Chrome", "Windows", "desktop"),
        (FIREFOX, "Firefox", "Linux", "desktop"),
        (SAFARI, "Mobile Safari", "iOS", "mobile"),
        (IPAD, "Mobile Safari", "iOS", "tablet"),
        (PHONE, "Chrome Mobile", "Android", "mobile"),
        (TABLET, "Chrome", "Android", "tablet"),
        (ROBOT, "Googlebot", None, "bot"),
        ("nonsense", None, None, None),
        ("", None, None, None),
        (None, None, None, None),
    ],
)
def test_what_a_user_agent_says(
    user_agent: str | None, browser: str | None, system: str | None, device: str | None
) -> None:
    event = Event(type="a", user_agent=user_agent)
    found = (visitor.browser(event), visitor.system(event), visitor.device(event))
    assert found == (browser, system, device)


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://News.example:8443/a?b", "news.example"),
        ("news.example/a", "news.example"),
        ("android-app://com.example/", "com.example"),
        ("/a", None),
        ("http://[", None),
        ("", None),
        (None, None),
    ],
)
def test_the_host_of_a_referrer(referrer: str | None, host: str | None) -> None:
    assert visitor.referrer_host(Event(type="a", referrer=referrer)) == host


def test_the_campaign_of_a_url() -> None:
    url = "/a?utm_source=news%20letter&b=1&utm_campaign=x&utm_source=second&utm_term=#utm_medium=no"
    event = Event(type="a", url=url)
    found = {name: visitor.campaign(event, name) for name in visitor.CAMPAIGN}
    assert found == {
        "utm_source": "news letter",
        "utm_campaign": "x",
        "utm_medium": None,
        "utm_term": None,
        "utm_content": None,
    }
    assert visitor.campaign(Event(type="a"), "utm_source") is None


def test_all_of_them_are_dimensions() -> None:
    event = Event(
        type="a", url="/?utm_source=mail", referrer="https://a.example/", user_agent=CHROME
    )
    found = {name: dimension.get(event) for name, dimension in VISITOR_DIMENSIONS.items()}
    assert {name: value for name, value in found.items() if value is not None} == {
        "browser": "Chrome",
        "os": "Windows",
        "device": "desktop",
        "referrer_host": "a.example",
        "utm_source": "mail",
    }
