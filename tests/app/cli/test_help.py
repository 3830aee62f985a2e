"""What the command line says about itself."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from app.cli import COMMANDS, group
from tests.support.running_copy import ROOT

WIDTH = 80


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Return the lines below "Commands:" in the help of event-counter."""
    said = CliRunner().invoke(group, ["--help"], terminal_width=WIDTH).output
    return said.partition("Commands:\n")[2].splitlines()


def test_each_command_is_described_in_one_whole_line(lines: list[str]) -> None:
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert [line for line in lines if line.endswith("...") or not line.endswith(".")] == []


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_option_says_what_it_does(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("module", ["import_", "replay"])
def test_a_command_that_runs_no_worker_loads_no_faust(module: str) -> None:
    """That took as long as all that the command does to start."""
    code = f"import sys, app.cli.{module}; print({{'aiohttp', 'faust'}} & {{*sys.modules}})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "set()\n"
