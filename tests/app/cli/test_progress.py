"""Progress in a file or pipe: no line twice in a row."""

from __future__ import annotations

import pytest

from app.cli import progress
from app.cli.progress import ProgressLog


def test_what_was_said_is_not_said_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    with ProgressLog() as told:
        for text in ("counting", "counting", "counting", "waiting", "counting"):
            told.say(text)
    assert capsys.readouterr().err.splitlines() == ["counting", "waiting", "counting"]
