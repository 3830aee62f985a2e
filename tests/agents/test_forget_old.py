"""Task forget_old: which roles have it, what it does first, and when again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import agents.forget_old
from app.factory import create_app
from app.settings import Role, Settings
from app.stack.command import TRY_LATER
from tests.docs.test_roles import AWAY, ROLES


def tasks_of(role: Role, days: int) -> list[str]:
    """Return the tasks of a role."""
    given = {"role": role, "raw_retention_days": days, **AWAY}
    return [task.__name__ for task in create_app(Settings.model_validate(given))._app_tasks]


@pytest.mark.parametrize("role", ROLES)
def test_those_who_write_have_it_where_the_setting_asks(role: Role) -> None:
    assert "forget_old" not in tasks_of(role, 0)
    assert ("forget_old" in tasks_of(role, 400)) == (role in ("store", "archive"))


class App:
    """Keeps the task, to run it by hand."""

    def task(self, task: Callable[[], Awaitable[None]]) -> None:
        self.forget_old = task


@pytest.mark.parametrize(("code", "pause_s"), [(0, 86_400), (1, 3600), (TRY_LATER, 3600)])
async def test_it_comes_again_after_a_day_or_an_hour_where_it_failed(
    monkeypatch: pytest.MonkeyPatch, code: int, pause_s: float
) -> None:
    done: list[Any] = []

    async def sleep(seconds: float) -> None:
        done.append(seconds)
        if len(done) == 5:
            raise asyncio.CancelledError

    async def run(_: Settings, what: str) -> int:
        done.append(what)
        return code

    monkeypatch.setattr("agents.forget_old.asyncio.sleep", sleep)
    monkeypatch.setattr(agents.forget_old, "run", run)
    app = App()
    agents.forget_old.register(app, Settings(raw_retention_days=400), "event")
    with pytest.raises(asyncio.CancelledError):
        await app.forget_old()
    assert done == [60, "event", pause_s, "event", pause_s]


async def test_a_failure_is_one_line_that_says_when_it_comes_again(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.model_validate({"role": "store", "raw_retention_days": 1, **AWAY})
    assert await agents.forget_old.run(settings, "event") == 1
    assert "Kafka is away" in capfd.readouterr().err
    assert caplog.messages == ["old months of event are not forgotten; again in 3600 s"]


async def test_what_cannot_be_started_is_a_failure_like_others(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("app.stack.command.leashed", lambda *_: ["./not-there"])
    settings = Settings.model_validate({"role": "store", "raw_retention_days": 1, **AWAY})
    assert await agents.forget_old.run(settings, "event") == 1
    why, line = caplog.messages
    assert why.startswith("cannot start ./not-there: ")
    assert line == "old months of event are not forgotten; again in 3600 s"
