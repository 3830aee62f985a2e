"""Hooks of mkdocs: the navigation, and the pages from outside docs/.

docs/README.md is the list of all pages, for people and for the navigation alike.
"""

from __future__ import annotations

import re
from os.path import normpath, relpath
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Pages and the place in the site that they have instead of their own.
OUTSIDE = {
    "README.md": "index.md",
    "docs/README.md": "begin.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "clients/python/README.md": "project/python-client.md",
    "bench/SUMMARY.md": "project/benchmarks.md",
}
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+\.(?:md|png))(#[^)]*)?\)")
ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)]+)\)", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation out of docs/README.md, and that of the decisions out of theirs."""
    index = (ROOT / "docs/README.md").read_text("utf-8")
    sections = re.split(r"^## (.+)$", index, flags=re.MULTILINE)[1:]
    nav: list[dict[str, Any]] = [{"Overview": "index.md"}, {"Where to begin": "begin.md"}]
    for title, text in zip(sections[::2], sections[1::2], strict=True):
        entries: list[dict[str, Any]] = []
        for name, link in ENTRY.findall(text):
            place = _place("docs", link)
            entries.append({name: _decisions(place) if "decisions/" in place else place})
        nav.append({title: entries})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages whose place is another."""
    for source, place in OUTSIDE.items():
        text = _moved((ROOT / source).read_text("utf-8"), source, place)
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that lead out of docs/ at the pages of the site."""
    del config, files
    place = page.file.src_uri
    return markdown if place in OUTSIDE.values() else _moved(markdown, f"docs/{place}", place)


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _place(folder: str, link: str) -> str:
    """Return the place in the site that a link in a file of a folder leads to."""
    path = normpath(f"{folder}/{link}")
    return OUTSIDE.get(path, path.removeprefix("docs/"))


def _moved(text: str, source: str, place: str) -> str:
    """Return a page with its links as they must be at its place in the site."""

    def link(match: re.Match[str]) -> str:
        name, target, anchor = match.groups()
        if "://" in target:
            return match.group()
        to = _place(_folder(source), target)
        return f"[{name}]({relpath(to, _folder(place))}{anchor or ''})"

    return LINK.sub(link, text)


def _decisions(index: str) -> list[Any]:
    """Return the entries for the decisions, in the order of their table."""
    folder = _folder(index)
    text = (ROOT / "docs" / index).read_text("utf-8")
    pages = [f"{folder}/{page}" for _, page, _ in LINK.findall(text) if "/" not in page]
    return [index, *pages]
