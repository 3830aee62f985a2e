"""Which tests stay together where `make test` makes several runs at once."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

WHOLE = ("browser",)  # the pages share one running copy
# Folders: first what takes longest as a whole, then those with the longest modules. Kill tests come
# before those that share workers for a run, as they take its Kafka away from under them.
SLOW = ("browser", "kill", "stack", "losses", "e2e", "agents")


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

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test that the run was in, which is not run again; the others of it are.

        pytest-xdist gives modules that are done to the next run, too, which waits for ever then.
        """
        units = self.assigned_work[node]
        ended = next((test for unit in units.values() for test in unit if not unit[test]), None)
        for unit in units.values():
            if ended in unit:
                unit[ended] = True
        self.assigned_work[node] = {
            scope: unit for scope, unit in units.items() if not all(unit.values())
        }
        left = self.assigned_work[node].keys()
        super().remove_node(node)
        for scope in left & self.workqueue.keys():  # next, as the slowest are among them
            self.workqueue.move_to_end(scope, last=False)
        return ended
