"""What `run` prints: a line per step with the seconds since the start."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TextIO

PROGRESS_EVERY_S = 2.0  # where lines cannot be replaced


class TimedConsole:
    """Prints steps; on a terminal a progress line is replaced by what follows."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._begun = time.monotonic()
        self._said = 0.0
        self._replaceable = False

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._begun

    def step(self, text: str) -> None:
        """Print a line that stays."""
        self._print(text, "\n")

    def progress(self, text: str) -> None:
        """Print a line that may be replaced; in a file or pipe, only some of them."""
        if self._out.isatty():
            self._print(text, "")
            self._replaceable = True
        elif time.monotonic() - self._said > PROGRESS_EVERY_S:
            self._said = time.monotonic()
            self._print(text, "\n")

    def block(self, text: str) -> None:
        """Print lines as they are."""
        self._write(f"{text}\n")

    def _print(self, text: str, end: str) -> None:
        self._write(f"[{self.seconds():6.1f} s] {text}{end}")

    def _write(self, text: str) -> None:
        start = "\r\x1b[K" if self._replaceable else ""
        self._replaceable = False
        # A terminal or pipe that is gone must not keep us from stopping everything in order.
        with contextlib.suppress(OSError, ValueError):
            self._out.write(f"{start}{text}")
            self._out.flush()
