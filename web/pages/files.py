"""The files of the pages, read once: ours from static/, the chart library from node_modules/."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

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


class File(NamedTuple):
    """One file as it is served; etag: changes with its content."""

    body: bytes
    content_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> File:
        """Return the file at a path."""
        return cls.of(path.read_bytes(), TYPES[path.suffix])

    @classmethod
    def of(cls, body: bytes, content_type: str) -> File:
        """Return a file of this content."""
        return cls(body, content_type, hashlib.sha256(body).hexdigest()[:16])

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
