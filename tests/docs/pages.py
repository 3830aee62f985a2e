"""The documentation as data: its pages, tables and curl examples."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = "README.md"
PAGES = [README, *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
BASE = "http://127.0.0.1:8000"
CODE = re.compile(r"`([^`]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
URL = re.compile(re.escape(BASE) + r"([^\s'\"`)>;]*)")


def text_of(page: str) -> str:
    """Return the text of a page, named by its path from the root of the project."""
    return (ROOT / page).read_text("utf-8")


def table(first: str, page: str) -> list[list[str]]:
    """Return the cells of the rows of the first table of a page whose head begins with a name."""
    lines = text_of(page).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def code(cell: str) -> list[str]:
    """Return what stands between backticks."""
    return CODE.findall(cell)


@dataclass
class Example:
    """A curl of a page and the answer that it promises."""

    method: str
    path: str
    body: str
    headers: dict[str, str]
    answer: str = field(default="")

    def answers(self, text: str) -> bool:
        """Whether an answer is the promised one; an ellipsis stands for anything."""
        parts = map(re.escape, self.answer.strip().split("…"))
        lines = text.strip().replace("\r\n", "\n")  # as a terminal shows it
        return re.fullmatch(".*".join(parts), lines, re.DOTALL) is not None


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    return [block for name, block in FENCE.findall(text_of(page)) if name == language]


def examples(page: str) -> list[Example]:
    """Return the curls in the console blocks of a page, in order."""
    return [made for block in blocks(page, "console") for made in _examples_of(block)]


def _examples_of(block: str) -> Iterator[Example]:
    for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, answer = text.partition("\n")
        while _is_open(command):  # a quoted body of several lines
            line, _, answer = answer.partition("\n")
            command += "\n" + line
        yield _parse(command, answer)


def _is_open(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return True
    return False


def _parse(command: str, answer: str) -> Example:
    curl = argparse.ArgumentParser()
    curl.add_argument("curl", choices=["curl"])
    curl.add_argument("-X", dest="method")
    curl.add_argument("-d", "--data-binary", dest="body", default="")
    curl.add_argument("-H", dest="headers", action="append", default=[])
    curl.add_argument("url")
    given = curl.parse_args(shlex.split(command))
    assert given.url.startswith(BASE), command
    headers = dict(header.split(": ") for header in given.headers)
    method = given.method or ("POST" if given.body else "GET")
    return Example(method, given.url.removeprefix(BASE), given.body, headers, answer)
