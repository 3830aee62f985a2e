"""Rules that make one page one url, whatever campaign led to it: a TOML file, see `load()`.

Applied where events come in, before they are counted; the url as sent is kept among the event's
properties, as `url_sent`. Pure but for reading the file.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_plus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import SettingsError
from app.events.event import Event

URL_SENT = "url_sent"


class UrlRules(BaseModel):
    """What is done to a url; without any rule nothing is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Literal["keep", "drop"] = Field("keep", description="What becomes of the arguments.")
    keep: tuple[str, ...] = Field((), description="Arguments that stay when the query is dropped.")
    fragment: Literal["keep", "drop"] = Field("keep", description="What stands behind #.")
    host: Literal["keep", "lower"] = Field("keep", description="Case of scheme and host.")
    slash: Literal["keep", "drop"] = Field("keep", description="A slash at the end of the path.")

    def apply(self, event: Event) -> None:
        """Change the url of an event, and keep the one that was sent where they differ."""
        if event.url and (url := self.clean(event.url)) != event.url:
            event.properties = {**(event.properties or {}), URL_SENT: event.url}
            event.url = url

    def clean(self, url: str) -> str:
        """Return the url of the page."""
        url, hash_sign, fragment = url.partition("#")
        path, question_mark, query = url.partition("?")
        if self.query == "drop":
            kept = [arg for arg in query.split("&") if _name(arg) in self.keep]
            question_mark, query = ("?", "&".join(kept)) if kept else ("", "")
        if self.fragment == "drop":
            hash_sign = fragment = ""
        if self.host == "lower":
            path = _lower_host(path)
        if self.slash == "drop" and len(path) > 1:
            path = path.rstrip("/") or "/"
        return f"{path}{question_mark}{query}{hash_sign}{fragment}"


def load(path: str) -> UrlRules | None:
    """Return the rules of a file, None without a path; raise SettingsError that names the fault.

    The file, all of it optional:
    query = "drop"; keep = ["id"]; fragment = "drop"; host = "lower"; slash = "drop"
    """
    if not path:
        return None
    try:
        return UrlRules.model_validate(tomllib.loads(Path(path).read_text("utf-8")))
    except ValidationError as exc:
        faults = "; ".join(
            f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
            for error in exc.errors(include_url=False)
        )
        raise SettingsError(f"EVENT_COUNTER_URL_RULES: {path}: {faults}") from exc
    except (OSError, ValueError) as exc:  # TOML and UTF-8 errors are ValueErrors
        raise SettingsError(f"EVENT_COUNTER_URL_RULES: {path}: {exc}") from exc


def _name(argument: str) -> str:
    return unquote_plus(argument.partition("=")[0])


def _lower_host(path: str) -> str:
    scheme, found, rest = path.partition("://")
    if not found or "/" in scheme:
        return path
    user_and_host, slash, behind = rest.partition("/")
    user, at, host = user_and_host.rpartition("@")
    lowered = host.lower() if host.isascii() else host
    return f"{scheme.lower()}://{user}{at}{lowered}{slash}{behind}"
