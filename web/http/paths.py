"""Every call that is served over HTTP, declared once.

A call is its entry here and its handler (`@page(app, paths.NAME)`, or `queries.add(paths.NAME, …)`
for what a count worker answers). All else follows from the entry: who serves it, what the collector
passes on, what needs the read token, which methods a path has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class Kind(StrEnum):
    """What a call is for, which decides who may make it."""

    EVENTS = "takes events"
    FIGURES = "answers with figures"  # needs the read token
    PAGE = "is a page, or a file of one"
    PROBE = "says how a worker is"  # served by every role
    INTERNAL = "is between workers of one release"  # served by role count only


@dataclass(frozen=True, eq=False)
class Call:
    """One method of one path. Parts of the path in braces vary.

    path: with a final slash where that is how people know it; both spellings are served.
    by_count: whether the tables answer; then a count worker does, and the collector passes it on.
    """

    method: str
    path: str
    kind: Kind
    summary: str
    by_count: bool = False

    @property
    def methods(self) -> set[str]:
        """What is served: HEAD goes with GET."""
        return {self.method, "HEAD"} if self.method == "GET" else {self.method}

    @property
    def takes_events(self) -> bool:
        """Whether its answer may say where events are stored."""
        return self.kind is Kind.EVENTS and self is not SEGMENT_SETTINGS

    @property
    def roles(self) -> set[str]:
        """The roles that serve it."""
        if self.kind is Kind.PROBE:
            return {"collect", "count", "store", "archive"}
        if self.kind is Kind.INTERNAL:
            return {"count"}
        return {"collect", "count"} if self.by_count else {"collect"}

    @property
    def spellings(self) -> list[str]:
        """The path without and with its final slash."""
        bare = self.path.rstrip("/")
        return sorted({bare or "/", f"{bare}/"})

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """What stands between the slashes of the path."""
        return tuple(self.path.strip("/").split("/"))

    @property
    def varies(self) -> bool:
        """Whether a part of the path may be anything."""
        return "{" in self.path

    def is_at(self, segments: list[str]) -> bool:
        """Whether its path consists of these segments."""
        return len(self.parts) == len(segments) and all(
            part == segment or part[:1] == "{"
            for part, segment in zip(self.parts, segments, strict=True)
        )


EVENT_GENERATE = Call("PUT", "/event_generate/", Kind.EVENTS, "Take one event; answers OK.")
TRACK = Call("POST", "/track", Kind.EVENTS, "Take one app event; asks for X-Token.")
ADS = Call("POST", "/", Kind.EVENTS, "Take one ads event; answers endedSuccessfully.")
EVENTS = Call("POST", "/events", Kind.EVENTS, "Take one event, a JSON array, or NDJSON.")
PIXEL = Call("GET", "/pixel.gif", Kind.EVENTS, "Take one event from the address of an image.")

SEGMENT_BATCH = Call("POST", "/v1/batch", Kind.EVENTS, "Take a batch of Segment's clients.")
SEGMENT = Call("POST", "/v1/{call}", Kind.EVENTS, "Take a call of Segment's clients.")
SEGMENT_SETTINGS = Call(
    "GET", "/v1/projects/{key}/settings", Kind.EVENTS, "Settings of Segment's browser client."
)
PLAUSIBLE = Call("POST", "/api/event", Kind.EVENTS, "Take an event of Plausible's script.")
UMAMI = Call("POST", "/api/send", Kind.EVENTS, "Take an event of Umami's clients.")
UMAMI_BATCH = Call("POST", "/api/batch", Kind.EVENTS, "Take an array of Umami's events.")

EVENT_TRACK = Call(
    "POST", "/event_track/", Kind.FIGURES, "Counts of a url by type, of all time.", by_count=True
)
EVENT_REPORT = Call(
    "POST", "/event_report/", Kind.FIGURES, "Counts of a url on a day, by UTC hour.", by_count=True
)
COUNTS = Call(
    "GET", "/counts/{counter}", Kind.FIGURES, "Counts of a key of a counter.", by_count=True
)
TOP_KEYS = Call(
    "GET", "/counts/{counter}/top", Kind.FIGURES, "Keys with the largest values.", by_count=True
)
KEYS = Call(
    "GET",
    "/counts/{counter}/keys",
    Kind.FIGURES,
    "The keys of a counter, page by page.",
    by_count=True,
)
TRACE = Call("GET", "/events/{position}", Kind.FIGURES, "What became of one event.", by_count=True)
COUNTERS = Call("GET", "/counters", Kind.FIGURES, "The declared counters.", by_count=True)
TOP_PAGES = Call(
    "GET", "/stats/top_pages", Kind.FIGURES, "The pages with the most views.", by_count=True
)
BOTS = Call(
    "GET", "/stats/bots", Kind.FIGURES, "Page views that the bot rule left out.", by_count=True
)
PAGE_VIEWS = Call(
    "GET", "/stats/page_views", Kind.FIGURES, "The views of a website's pages.", by_count=True
)
SESSIONS = Call(
    "GET", "/stats/users/{user_id}/sessions", Kind.FIGURES, "A user's sessions.", by_count=True
)
ACTIVE_USERS = Call(
    "GET", "/stats/active_users", Kind.FIGURES, "Distinct users in a window.", by_count=True
)
ALL_ADS = Call("GET", "/stats/ads", Kind.FIGURES, "The ads of a month.", by_count=True)
ONE_AD = Call("GET", "/stats/ads/{ad_id}", Kind.FIGURES, "An ad in a month.", by_count=True)
RATES = Call("GET", "/stats/rates", Kind.FIGURES, "Events per second, and lag per group.")
REJECTED = Call("GET", "/rejected", Kind.FIGURES, "The newest rejected events.")
ALERTS = Call("GET", "/alerts", Kind.FIGURES, "The newest alerts.")
TAIL = Call("GET", "/tail", Kind.FIGURES, "The newest events, as server-sent events.")
STREAM = Call("GET", "/stream", Kind.FIGURES, "What the pages show, as server-sent events.")

DASHBOARD = Call("GET", "/", Kind.PAGE, "The dashboard.")
EXPLORE = Call("GET", "/explore", Kind.PAGE, "One counter over a range of time.")
GENERATOR = Call("GET", "/generator", Kind.PAGE, "The load generator.")
TRACKER = Call("GET", "/tracker.js", Kind.PAGE, "The script that counts a website's page views.")
STATIC = Call("GET", "/static/{name}", Kind.PAGE, "A file of the pages.")

OPENAPI = Call("GET", "/openapi.json", Kind.PAGE, "This API as OpenAPI 3.1.")

HEALTH = Call("GET", "/health", Kind.PROBE, "200 while the process runs.")
READY = Call("GET", "/ready", Kind.PROBE, "200 once the worker can do its work, else 503.")
METRICS = Call("GET", "/metrics", Kind.PROBE, "Metrics as Prometheus text.")

ROWS = Call("GET", "/rows/{counter}", Kind.INTERNAL, "All counts of a counter, in chunks.")
QUERIES = Call("POST", "/queries", Kind.INTERNAL, "Many queries in one MessagePack body.")
QUERIES_LINK = Call("GET", "/queries/link", Kind.INTERNAL, "A WebSocket of queries and answers.")

CALLS = tuple(entry for entry in list(globals().values()) if isinstance(entry, Call))


def without_base(path: str, base_path: str) -> str:
    """Return the path of a call, as declared, of one below the path of a proxy."""
    if base_path and (path == base_path or path.startswith(f"{base_path}/")):
        return path.removeprefix(base_path) or "/"
    return path


class CallFinder:
    """Finds the call that a request makes."""

    def __init__(self, calls: Iterable[Call] = CALLS) -> None:
        calls = list(calls)
        self._plain = {
            (method, spelling): call
            for call in calls
            if not call.varies
            for method in call.methods
            for spelling in call.spellings
        }
        self._varying = [call for call in calls if call.varies]

    def find(self, method: str, path: str) -> Call | None:
        """Return the call, or None where none is declared; path: unescaped but for %2F."""
        if found := self._plain.get((method, path)):
            return found
        segments = path.removeprefix("/").removesuffix("/").split("/")
        for call in self._varying:
            if method in call.methods and call.is_at(segments):
                return call
        return None
