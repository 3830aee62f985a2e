"""A test that hangs says where, and the others are run without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGINS = ("-p", "pytest_timeout", "-p", "xdist.plugin")
TWO = ("-n", "2", "--dist", "loadscope", "--no-loadscope-reorder")

CONFTEST = """
from tests.support.hung import pytest_timeout_cancel_timer, pytest_timeout_set_timer
from tests.support.together import TogetherScheduling

def pytest_xdist_make_scheduler(config, log):
    return TogetherScheduling(config, log)
"""
DONE = "def test_a(): pass\n"
HANGS = """
import asyncio

async def for_ever():
    while True:
        try:
            await asyncio.sleep(1000)
        except BaseException:
            pass

def test_before(): pass

def test_hangs(): asyncio.run(for_ever())

def test_after(): pass
"""


def test_a_hang_is_told_and_the_others_are_run(tmp_path: Path) -> None:
    folder = tmp_path / "hung"
    folder.mkdir()
    for name in "abcdef":
        (folder / f"test_{name}.py").write_text(DONE)
    (folder / "test_g.py").write_text(HANGS)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\ntimeout = 5\npythonpath = {ROOT}\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGINS, *TWO, "."],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = ran.stdout + ran.stderr
    assert "1 failed, 8 passed" in said
    assert "FAILED hung/test_g.py::test_hangs" in said
    assert "hung/test_g.py::test_hangs hangs for 5 s in\n" in said
    assert "test_g.py:7 for_ever" in said
