"""Tables for people: as wide as the terminal, and unbroken lines in a file or pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.text import printable

UNBROKEN = 10_000  # columns: grep finds whole lines


def print_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    out: TextIO | None = None,
) -> None:
    """Print rows below heads; right: heads of columns of numbers. None is shown as a dash."""
    out = out or sys.stdout
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head in heads:
        table.add_column(head, justify="right" if head in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if cell is None else printable(cell)) for cell in row))
    width = None if out.isatty() else UNBROKEN
    Console(file=out, width=width, highlight=False).print(table)
