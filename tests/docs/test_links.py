"""What the documents point at is there."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, code, table, text_of
from tests.docs.test_structure import FLOOR

ALL = [*PAGES, "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
LINK = re.compile(r"\]\(([^)]+)\)")
PAGE_NAMED = re.compile(r"docs/[a-z/-]+\.md")
FILE_NAMED = re.compile(r"`((?:app|agents|tables|web|sql|tests|docker|bench)/[\w/.]*)`")


def headings(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def source_files() -> list[Path]:
    """Return every Python file of the project itself."""
    folders = ("app", "agents", "tables", "web", "sql", "tests", "bench")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("name", ALL)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in LINK.findall(page.read_text("utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("page", ALL)
def test_files_named_in_a_page_exist(page: str) -> None:
    for name in FILE_NAMED.findall(text_of(page)):
        assert (ROOT / name).exists(), name


def test_pages_named_in_the_code_exist() -> None:
    for path in source_files():
        for name in PAGE_NAMED.findall(path.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{path}: {name}"


def test_every_decision_is_listed() -> None:
    listed = text_of("docs/internals/decisions/README.md")
    for page in (ROOT / "docs/internals/decisions").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in listed, page.name


def test_every_folder_is_explained() -> None:
    explained = {name for row in table("folder", "CONTRIBUTING.md") for name in code(row[0])}
    for folder in ("agents", "app", "bench", "docker", "docs", "sql", "tables", "tests", "web"):
        assert f"{folder}/" in explained
    assert [name for name in explained if not (ROOT / name).is_dir()] == []


def test_every_room_is_explained() -> None:
    explained = [name for row in table("room", "CONTRIBUTING.md") for name in code(row[0])]
    assert sorted(explained) == sorted(FLOOR.keys() - {"sql"})


def test_the_targets_of_make_are_as_listed() -> None:
    done = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f"```text\n{done.stdout}```" in text_of("CONTRIBUTING.md")


@pytest.mark.parametrize("page", ALL)
def test_a_list_or_table_follows_a_blank_line(page: str) -> None:
    """Otherwise the site shows it as a paragraph; GitHub is more lenient."""
    text = re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    lines = text.splitlines()
    starts = re.compile(r"- |\d+\. |\|")
    found = [
        line
        for before, line in pairwise(lines)
        if starts.match(line) and before.strip() and not re.match(r"- |\d+\. |\||  |#", before)
    ]
    assert found == []
