"""Which tests stay together where `make test` makes two runs at once."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

WHOLE = ("kill", "browser")  # two kill tests measure the machine; the pages share one running copy
SLOW = ("kill", "stack", "browser", "e2e", "agents")  # folders, the slowest first


def folder_of(nodeid: str) -> str:
    """Return `kill` for tests/kill/test_parts.py::test_a."""
    return nodeid.partition("::")[0].split("/")[-2]


def place(nodeid: str) -> int:
    """Return what to sort by: slow folders come first, so that none is left for the end."""
    folder = folder_of(nodeid)
    return SLOW.index(folder) if folder in SLOW else len(SLOW)


class TogetherScheduling(LoadScopeScheduling):
    """Gives a whole module to one run, or a whole folder."""

    def _split_scope(self, nodeid: str) -> str:
        folder = folder_of(nodeid)
        return folder if folder in WHOLE else nodeid.partition("::")[0]
