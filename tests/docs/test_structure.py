"""House rules that a program can check: sizes, and which way imports point."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

FILE_LINES = 300
FUNCTION_LINES = 40
OURS = ("app", "agents", "tables", "web", "sql", "bench", "clients", "tests")
PACKAGES = ("app", "agents", "tables", "web", "sql")
# A room imports itself and what stands in a line above it.
ROOMS = (
    ("sql", "app.allowed", "app.errors", "app.lasting", "app.metrics", "app.names", "app.text"),
    ("app.addresses",),
    ("app.settings",),
    ("app.events",),
    ("app.counting", "app.transport"),
    ("app.kafka",),
    ("app.archive", "app.stores"),
    ("app.alerting", "app.ingest"),
    ("app.monitor",),
    ("app.stack",),
    ("app.reconcile",),
    ("tables",),
    ("agents", "web.http"),
    ("web.ingest", "web.query"),
    ("web.stats",),
    ("web.pages",),
    ("app.wiring",),
    ("app.factory",),
    ("app.main",),
    ("app.cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def files(*folders: str) -> Iterator[tuple[str, ast.Module, int]]:
    """Yield name, syntax tree and number of lines of each Python file."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            name = str(path.relative_to(ROOT))
            yield name, ast.parse(text, name), len(text.splitlines())


def module_of(name: str) -> str:
    """Return the module in a file, app.events.event for app/events/event.py."""
    return name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def imports() -> dict[str, set[str]]:
    """Return what each of our modules imports of the others, in functions and for types too."""
    trees = {module_of(name): tree for name, tree, _ in files(*PACKAGES)}
    found: dict[str, set[str]] = {}
    for module, tree in trees.items():
        named = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert not node.level, f"{module} has a relative import"
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= (inside & trees.keys()) or {node.module}
        found[module] = {name for name in named - {module} if name.split(".")[0] in PACKAGES}
    return found


def room_of(module: str) -> str | None:
    """Return the room that a module stands in; None for an empty package above the rooms."""
    parts = module.split(".")
    return next((room for n in (1, 2) if (room := ".".join(parts[:n])) in FLOOR), None)


def test_a_file_fits_a_sitting() -> None:
    assert [(name, lines) for name, _, lines in files(*OURS) if lines >= FILE_LINES] == []


def test_a_function_fits_a_screen() -> None:
    too_long = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree, _ in files(*OURS)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or node.lineno) - node.lineno + 1 >= FUNCTION_LINES
    ]
    assert too_long == []


def test_every_module_stands_in_a_room() -> None:
    homeless = {m for m in imports() if room_of(m) is None and m not in {"app", "web"}}
    assert homeless == set()


def test_rooms_import_in_one_direction() -> None:
    wrong = {
        f"{module} imports {name}"
        for module, names in imports().items()
        for name in names
        if (here := room_of(module)) and (there := room_of(name)) and here != there
        if FLOOR[there] >= FLOOR[here]
    }
    assert wrong == set()


def test_no_file_imports_itself_through_others() -> None:
    try:
        list(TopologicalSorter(imports()).static_order())
    except CycleError as exc:
        pytest.fail(" imports ".join(reversed(exc.args[1])))


@pytest.mark.parametrize(
    ("made", "place"),
    [
        (r"AIOKafka(Consumer|Producer|AdminClient|Client)\(", "app/kafka/clients.py"),
        (r"asyncpg\.(connect|create_pool)\(|Redis\.from_url\(", "app/stores/connect.py"),
        (r"SASLCredentials\(|SSLCredentials\(|f.kafka://", "app/kafka/clients.py"),
        (r"or type\((exc|error)\)\.__name__", "app/errors.py"),
        (r"<< 8 \| (row|key|tail)\[|\[:-2\]|(row|key)\[\d:\d", "app/counting/row_keys.py"),
    ],
)
def test_there_is_one_place_for(made: str, place: str) -> None:
    found = {
        name
        for folder in PACKAGES
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (name := str(path.relative_to(ROOT))) and re.search(made, path.read_text("utf-8"))
    }
    assert found == {place}


def test_importing_opens_and_reads_nothing() -> None:
    modules = [
        module_of(name)
        for name, _, _ in files(*PACKAGES)
        # Programs of their own; the second holds the app of its process.
        if not name.endswith(("__main__.py", "main.py", "leash.py", "faust_worker.py"))
    ]
    script = f"""
import importlib, os, socket, sys
def refuse(event, args):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen"):
        raise RuntimeError(event)
sys.addaudithook(refuse)
for name in {modules!r}:
    importlib.import_module(name)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "EVENT_COUNTER_NONSENSE": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_a_file_of_the_pages_fits_a_sitting_too() -> None:
    found = [path for path in (ROOT / "web/pages/static").iterdir() if path.suffix != ".svg"]
    assert found
    too_long = {path.name: lines for path in found if (lines := length(path)) >= FILE_LINES}
    assert too_long == {}


def length(path: Path) -> int:
    """Return the number of lines of a text."""
    return len(path.read_text("utf-8").splitlines())
