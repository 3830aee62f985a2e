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
        body = path.read_bytes()
        return cls(body, TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])


def has_charts() -> bool:
    """Return whether the chart library is installed."""
    return all((CHARTS / name).is_file() for name in CHART_FILES)


def load() -> dict[str, File]:
    """Return all files by name; without the charts where those are not installed."""
    ours = [path for path in STATIC.iterdir() if path.suffix in TYPES]
    charts = [CHARTS / name for name in CHART_FILES if (CHARTS / name).is_file()]
    return {path.name: File.read(path) for path in (*ours, *charts)}
