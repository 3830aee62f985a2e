"""Install a list of packages with pip, in one line of progress, or one that says what is wrong.

Run by path with the Python of the environment, before anything is installed: only the standard
library, and nothing that an old Python could not read. `python -I install.py FOLDER LIST`: the list
has a version and the hashes of each package, so that no server can put another file in its place;
then the project in FOLDER itself. What pip says is in pip.log of the environment.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # older ones have none
    from typing import Self

OLDEST = (3, 11)
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps"]
HASHED = ["--require-hashes", "--retries=2", "--progress-bar=off", "-r"]
EVERY_S = 0.5
QUIET_EVERY_S = 10.0  # where a line cannot be replaced
BAR = 24  # characters
SIZES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "bytes": 1.0}
DOWNLOADING = re.compile(r"Downloading \S+ \(([\d.]+) (kB|MB|GB|bytes)\)")
NO_NETWORK = re.compile(
    r"(Name or service not known|Temporary failure in name resolution|Network is unreachable|"
    r"nodename nor servname|No route to host|Connection refused|Connection reset|timed? ?out|"
    r"Cannot connect to proxy|Tunnel connection failed[^'\")]*|CERTIFICATE_VERIFY_FAILED)",
    re.IGNORECASE,
)
OTHER_HASH = re.compile(r"^\s+(\S+==\S+) from ", re.MULTILINE)


def main(folder: str, requirements: str) -> int:
    """Return the exit code."""
    if sys.version_info < OLDEST:
        have = ".".join(map(str, sys.version_info[:3]))
        wanted = ".".join(map(str, OLDEST))
        return fail(
            f"Python {wanted} or later is needed; {sys.executable} is {have}. Remove its folder "
            f"and run: make PYTHON=/path/to/python{wanted} run"
        )
    log = Path(sys.prefix) / "pip.log"
    listed = Path(requirements).read_text("utf-8")
    total = sum(not line.startswith((" ", "#")) for line in listed.splitlines() if line)
    with log.open("w", encoding="utf-8") as out, PipProgress(total) as progress:
        code = run([*PIP, *HASHED, requirements], out, progress)
        if not code:
            code = run([*PIP, "--quiet", "--no-build-isolation", "-e", folder], out, progress)
    return fail(f"{reason(log.read_text('utf-8'))} All that pip says is in {log}") if code else 0


def run(command: list[str], log: object, progress: PipProgress) -> int:
    """Run pip, its output to the log; return its exit code."""
    with subprocess.Popen(  # noqa: S603 - our own pip
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        for line in pip.stdout or ():
            print(line, end="", file=log)  # type: ignore[call-overload]
            progress.read(line)
    return pip.returncode


class PipProgress:
    """Tells how many packages are there, how many megabytes came, and for how long; use with with.

    In a line that is replaced on a terminal, else in one line now and then: pip says nothing while
    it unpacks.
    """

    def __init__(self, total: int) -> None:
        self._total, self._done, self._bytes = total, 0, 0.0
        self._step = "fetched"
        self._begun = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._ended = threading.Event()
        self._ticking = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        print(f"installing {self._total} packages into {sys.prefix}, only once", flush=True)  # noqa: T201
        self._ticking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._ticking.join()
        self._say()
        if self._terminal:
            print(flush=True)  # noqa: T201

    def read(self, line: str) -> None:
        """Take a line of pip's."""
        if line.startswith("Ignoring "):  # not for this system
            self._total -= 1
        elif line.startswith("Collecting "):
            self._done += 1
        elif line.startswith("Installing "):
            self._step = "unpacking"
        elif line.startswith("Successfully "):
            self._step = "installed"
        elif found := DOWNLOADING.search(line):
            self._bytes += float(found[1]) * SIZES[found[2]]

    def _tick(self) -> None:
        while not self._ended.wait(EVERY_S if self._terminal else QUIET_EVERY_S):
            self._say()

    def _say(self) -> None:
        seconds = time.monotonic() - self._begun
        text = f"{self._step} {self._done} of {self._total} packages, {self._bytes / 1e6:.0f} MB"
        full = BAR * self._done // max(1, self._total)
        bar = f"\r\x1b[K[{'#' * full}{'.' * (BAR - full)}] " if self._terminal else ""
        end = "" if self._terminal else "\n"
        print(f"{bar}{seconds:3.0f} s: {text}", end=end, flush=True)  # noqa: T201


def reason(said: str) -> str:
    """Return in one sentence why pip failed."""
    if "DO NOT MATCH THE HASHES" in said:
        named = OTHER_HASH.search(said)
        return f"{named[1] if named else 'A package'} is not the file that its hash is of."
    if found := NO_NETWORK.search(said):
        return f"The package index cannot be reached ({found[1]}); the first start needs a network."
    errors = [line for line in said.splitlines() if line.lower().lstrip().startswith("error")]
    return f"pip failed: {errors[-1].strip()[:200] if errors else 'see its log'}."


def fail(text: str) -> int:
    """Print an error, return the exit code."""
    print(f"event-counter: {text}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
