"""Each command, with values that make no sense: one line that names the fault, no traceback."""

from __future__ import annotations

from importlib import import_module

import pytest
from click.testing import CliRunner

from app.cli import COMMANDS
from app.errors import CounterError

NOT_UTF8 = "\udcff"  # as Python sees such an argument
DAYS = ("--from", "2026-01-02", "--to", "2026-01-01")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("generate", "--rate", "0"), "--rate"),
        (("generate", "--rate", "-1"), "--rate"),
        (("generate", "--rate", "10000000"), "--rate"),
        (("generate", "--rate", "fast"), "--rate"),
        (("generate", "--seconds", "0"), "--seconds"),
        (("generate", "--seconds", "nan"), "--seconds"),
        (("generate", "--seconds", "inf"), "--seconds"),
        (("generate", "--shape", "round"), "--shape"),
        (("generate", "--users", "0"), "--users"),
        (("generate", "--bots", "-1"), "--bots"),
        (("generate", "--to", "redis"), "--to"),
        (("enrich", "--at", ""), "--at"),
        (("enrich", "--at", "nan"), "--at"),
        (("enrich", "--at", "1969-12-31"), "--at"),
        (("enrich", "--at", NOT_UTF8), "--at"),
        (("enrich", "now"), "unexpected extra argument"),
        (("query",), "Missing argument 'SQL'"),
        (("query", ""), "one SELECT statement"),
        (("query", "select 1; select 2"), "one SELECT statement"),
        (("query", NOT_UTF8), "not UTF-8"),
        (("query", "x" * 100_000), "Parser Error"),
        (("query", "select repeat('x', 1000000000000)"), "Out of Range Error"),
        (("audit", "--from", ""), "--from"),
        (("audit", "--to", NOT_UTF8), "--to"),
        (("audit", *DAYS), "--from must be before --to"),
        (("rebuild",), "Missing argument"),
        (("rebuild", "everything"), "'everything' is not one of"),
        (("rebuild", "summary", *DAYS), "--from must be before --to"),
        (("import",), "Missing argument"),
        (("import", "/no/such/file"), "does not exist"),
        (("import", "/"), "is a directory"),
        (("worker", "--role", "king"), "'king' is not one of"),
    ],
)
def test_what_is_wrong_is_named(
    command: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("EVENT_COUNTER_DATA_DIR", str(tmp_path))
    name, *arguments = command
    done = CliRunner().invoke(import_module(COMMANDS[name]).command, arguments)
    if isinstance(done.exception, CounterError):  # what app.cli.main() shows in one line
        told = str(done.exception)
    else:
        assert done.exit_code == 2, done.exception
        told = done.stderr.splitlines()[-1] if name != "rebuild" else done.stderr
    assert says in told
    assert len(told) < 600
