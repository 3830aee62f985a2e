"""House rules that a program can check: sizes, and which way imports point."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.docs.readme import ROOT

FILE_LINES = 300
FUNCTION_LINES = 40
OURS = ("app", "agents", "tables", "web", "sql", "bench", "tests")
MAY_IMPORT = {
    "sql": {"sql"},
    "app": {"app"},
    "tables": {"tables", "app"},
    "agents": {"agents", "tables", "app"},
    "web": {"web", "tables", "app"},
}
WIRING = ("app/factory", "app/main.py", "app/cli/")


def files(*folders: str) -> Iterator[tuple[str, ast.Module, int]]:
    """Yield name, syntax tree and number of lines of each Python file."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            name = str(path.relative_to(ROOT))
            yield name, ast.parse(text, name), len(text.splitlines())


def imports(tree: ast.Module) -> set[str]:
    """Return the top-level packages that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


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


def test_imports_point_one_way() -> None:
    wrong = {
        f"{name} imports {', '.join(sorted(forbidden))}"
        for folder, allowed in MAY_IMPORT.items()
        for name, tree, _ in files(folder)
        if not name.startswith(WIRING) and (forbidden := imports(tree) & set(OURS) - allowed)
    }
    assert wrong == set()


def test_importing_opens_and_reads_nothing() -> None:
    modules = [
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name, _, _ in files(*MAY_IMPORT)
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
