"""How far a command is, on stderr: one line that is replaced, or some lines in a file."""

from __future__ import annotations

import sys
import time
from typing import Self

import click

EVERY_S = 2.0  # where lines cannot be replaced
QUICK_S = 0.1


class ProgressLog:
    """Says what a command is at; nothing where it is done at once."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._said = time.monotonic()
        self._shown = False
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def say(self, text: str) -> None:
        """Show a line, unless another one was shown just now, or it is there already."""
        now = time.monotonic()
        if text == self._last or now - self._said < (QUICK_S if self._terminal else EVERY_S):
            return
        self._said, self._last = now, text
        click.echo(f"\r\x1b[K{text}" if self._terminal else text, err=True, nl=not self._terminal)
        self._shown = self._terminal

    def clear(self) -> None:
        """Take the line away, before something else is printed."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._shown, self._last = False, ""
