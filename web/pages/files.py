"""The files of the pages, read and packed once: ours, and the chart library from node_modules/."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from aiohttp.hdrs import (
    ACCEPT_ENCODING,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    ETAG,
    IF_NONE_MATCH,
    VARY,
)
from aiohttp.web import Request, Response

HERE = Path(__file__).parent
STATIC = HERE / "static"
CHARTS = HERE / "node_modules" / "uplot" / "dist"  # see install.py
CHART_FILES = ("uPlot.esm.js", "uPlot.min.css")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
GZIP, ANY = "gzip", "*"
NOT_MODIFIED = 304
_REFUSED = re.compile(r"q=0(\.0*)?")  # RFC 9110: a weight of 0 means not acceptable


class File(NamedTuple):
    """One file as it is served; etag: changes with its content. packed: the body by gzip."""

    body: bytes
    content_type: str
    etag: str
    packed: bytes

    @classmethod
    def read(cls, path: Path) -> File:
        """Return the file at a path."""
        return cls.of(path.read_bytes(), TYPES[path.suffix])

    @classmethod
    def of(cls, body: bytes, content_type: str) -> File:
        """Return a file of this content."""
        packed = gzip.compress(body, mtime=0)
        return cls(body, content_type, hashlib.sha256(body).hexdigest()[:16], packed)

    def with_text(self, old: bytes, new: bytes) -> File:
        """Return the file with a text in place of another."""
        return self.of(self.body.replace(old, new, 1), self.content_type)


def has_charts() -> bool:
    """Return whether the chart library is installed."""
    return all((CHARTS / name).is_file() for name in CHART_FILES)


def load() -> dict[str, File]:
    """Return all files by name; without the charts where those are not installed."""
    ours = [path for path in STATIC.iterdir() if path.suffix in TYPES]
    charts = [CHARTS / name for name in CHART_FILES if (CHARTS / name).is_file()]
    return {path.name: File.read(path) for path in (*ours, *charts)}


def answer(request: Request, file: File, headers: Mapping[str, str]) -> Response:
    """Return a file, packed for those who take it, or 304 to a browser that has it."""
    is_packed = takes_gzip(",".join(request.headers.getall(ACCEPT_ENCODING, ())))
    # Other bytes need another tag: a cache might complete one with a part of the other.
    etag = f'"{file.etag}-{GZIP}"' if is_packed else f'"{file.etag}"'
    found = {**headers, ETAG: etag, VARY: ACCEPT_ENCODING}
    had = ",".join(request.headers.getall(IF_NONE_MATCH, ()))
    if etag in had or had.strip() == ANY:
        return Response(status=NOT_MODIFIED, headers=found)
    found[CONTENT_TYPE] = file.content_type
    if is_packed:
        return Response(body=file.packed, headers={**found, CONTENT_ENCODING: GZIP})
    return Response(body=file.body, headers=found)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether a header Accept-Encoding lets an answer be packed by gzip."""
    accepted = {}
    for one in accept_encoding.lower().split(","):
        coding, _, weight = one.partition(";")
        accepted[coding.strip()] = not _REFUSED.fullmatch(weight.strip())
    return accepted.get(GZIP, accepted.get(ANY, False))
