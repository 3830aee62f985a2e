"""What follows from where an event comes from: browser, system, device, campaign, referrer. Pure.

Nothing of it is stored: it is worked out where an event is counted, from its user_agent, url and
referrer, so a rebuild by the same release counts the same again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import ua_parser

from app.events.event import Event

# Few of them make most events: found here, one costs a hundredth of what it takes to parse it.
AGENTS_KEPT = 20_000
URLS_KEPT = 1024
CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
DESKTOP, MOBILE, TABLET, BOT = "desktop", "mobile", "tablet", "bot"
SPIDER = "Spider"  # the device of what says that it is a robot
MOBILE_SYSTEMS = {"iOS", "Android", "Windows Phone", "KaiOS", "Tizen", "HarmonyOS"}
TABLET_DEVICES = ("iPad", "Kindle", "Tablet")


class Agent(NamedTuple):
    """What a User-Agent says; None where it does not say."""

    browser: str | None = None
    os: str | None = None
    device: str | None = None


UNKNOWN = Agent()


@lru_cache(maxsize=AGENTS_KEPT)
def agent_of(user_agent: str) -> Agent:
    """Return browser, system and kind of device, by the rules of the ua-parser project."""
    found = ua_parser.parse(user_agent)
    browser = found.user_agent.family if found.user_agent else None
    system = found.os.family if found.os else None
    model = found.device.family if found.device else ""
    return Agent(browser, system, _device(system, model, user_agent))


def _device(system: str | None, model: str, user_agent: str) -> str | None:
    if model == SPIDER:
        return BOT
    if model.startswith(TABLET_DEVICES):
        return TABLET
    if system == "Android" and "Mobile" not in user_agent:  # as Google asks of its makers
        return TABLET
    if system in MOBILE_SYSTEMS:
        return MOBILE
    return DESKTOP if system else None


def browser(event: Event) -> str | None:
    """Return the family of the browser, Chrome for example."""
    return _agent(event).browser


def system(event: Event) -> str | None:
    """Return the family of the operating system, Windows for example."""
    return _agent(event).os


def device(event: Event) -> str | None:
    """Return desktop, mobile, tablet or bot."""
    return _agent(event).device


def _agent(event: Event) -> Agent:
    return agent_of(event.user_agent) if event.user_agent else UNKNOWN


def referrer_host(event: Event) -> str | None:
    """Return the host of the referrer, in lower case and without port; None for none."""
    return host_of(event.referrer) if event.referrer else None


@lru_cache(maxsize=URLS_KEPT)
def host_of(url: str) -> str | None:
    """Return the host of an address; None where it has none."""
    try:
        return urlsplit(url if "//" in url else f"//{url}").hostname or None
    except ValueError:  # a bracket that does not close
        return None


def campaign(event: Event, name: str) -> str | None:
    """Return a parameter of the event's url that names its campaign; name: one of CAMPAIGN."""
    if not event.url or "utm_" not in event.url:
        return None
    return campaign_of(event.url).get(name)


@lru_cache(maxsize=URLS_KEPT)
def campaign_of(url: str) -> dict[str, str]:
    """Return the parameters of CAMPAIGN that a url has; of one that is there twice the first."""
    query = url.partition("#")[0].partition("?")[2]
    found = [(name, value) for name, value in parse_qsl(query) if name in CAMPAIGN]
    return dict(reversed(found))
