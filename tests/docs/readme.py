"""The README as data: its tables and its curl examples."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
MOVING = (ROOT / "docs" / "moving.md").read_text("utf-8")
BASE = "http://127.0.0.1:8000"
CODE = re.compile(r"`([^`]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
URL = re.compile(re.escape(BASE) + r"([^\s'\"`)]*)")


def section(title: str) -> str:
    """Return the text below a heading, up to the next one."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(first: str, title: str) -> list[list[str]]:
    """Return the cells of the rows of the table of a section whose head begins with a name."""
    lines = section(title).splitlines()
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
    """A curl of the README and the answer that it promises."""

    method: str
    path: str
    body: str
    headers: dict[str, str]
    answer: str = field(default="")

    def answers(self, text: str) -> bool:
        """Whether an answer is the promised one; an ellipsis stands for anything."""
        parts = map(re.escape, self.answer.strip().split("…"))
        return re.fullmatch(".*".join(parts), text.strip(), re.DOTALL) is not None


def examples() -> list[Example]:
    """Return the examples of the README in order, then those of docs/moving.md."""
    return [
        made
        for language, block in FENCE.findall(f"{README}\n{MOVING}")
        if language == "console"
        for made in _examples_of(block)
    ]


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
