"""python -m tests.clients.install: the clients of others, as their users install them.

Into <venv>/clients/<name>-<version>/ from pip, as two versions of one cannot be in one place, and
into node_modules/ from npm, by the lock file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from web.pages.install import npm_ci, run

HERE = Path(__file__).parent
PACKAGES = Path(sys.prefix) / "clients"
SEGMENT = {
    version: PACKAGES / f"segment-analytics-python-{version}" for version in ("2.3.4", "2.4.0")
}


def main() -> None:
    """Install all of them; raise what failed."""
    PACKAGES.mkdir(exist_ok=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for version, folder in SEGMENT.items():
        wanted = f"segment-analytics-python=={version}"
        run([*pip, "--upgrade", "--target", str(folder), wanted], HERE)
    npm_ci(HERE)


if __name__ == "__main__":
    main()
