"""Write keys: who may send events, and the app that their events are of."""

from __future__ import annotations

import base64
import binascii

from aiohttp.hdrs import AUTHORIZATION
from aiohttp.web import Request

from app.errors import WriteKeyError
from app.settings import Settings
from app.text import keyed

QUERY = "write_key"  # for what can set no header: pixels, sendBeacon
SHOWN = 4  # characters of a key in a message: enough to know one's own


class WriteKeys:
    """The keys of EVENT_COUNTER_WRITE_KEYS; none: everybody may send."""

    def __init__(self, settings: Settings) -> None:
        self._apps = keyed(settings.write_keys.get_secret_value())

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for."""
        return not self._apps

    def app_of(self, request: Request, *given: object) -> str | None:
        """Return the app of the first known key, None where it has none or no key is asked for.

        The key is a Basic user, a Bearer token, the parameter write_key, or one of those given,
        which stood in the body. Raises WriteKeyError.
        """
        if not self._apps:
            return None
        keys = [key for key in (*_of_request(request), *given) if isinstance(key, str) and key]
        for key in keys:
            if key in self._apps:
                return self._apps[key] or None
        if keys:
            shown = keys[0][:SHOWN].encode("ascii", "replace").decode()
            raise WriteKeyError(f"the write key {shown}… is unknown")
        raise WriteKeyError("no write key was sent")


def _of_request(request: Request) -> list[str]:
    scheme, _, given = request.headers.get(AUTHORIZATION, "").partition(" ")
    given = given.strip()
    keys = [request.query.get(QUERY, "")]
    if scheme.lower() == "bearer":
        return [given, *keys]
    if scheme.lower() == "basic":
        try:
            user = base64.b64decode(given, validate=True).decode()
        except (binascii.Error, ValueError):
            return keys
        return [user.partition(":")[0], *keys]  # some clients leave the colon out
    return keys
