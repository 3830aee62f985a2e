"""A setting that is wrong is named, with what was given and what is allowed; all are listed."""

from __future__ import annotations

import json

import pytest

from app.errors import SettingsError
from app.settings import Settings, variable
from tests.support.running_copy import command_line

SECRET = "hunter2"


def complaint(**given: str) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable(name): value for name, value in given.items()})
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("http_port", "abc", "'abc' is not a whole number from 1 to 65,535"),
        ("http_port", "0", "'0' is not a whole number from 1 to 65,535"),
        ("http_port", "", "'' is not a whole number from 1 to 65,535"),
        ("statistics", "perhaps", "'perhaps' is not true or false"),
        ("role", "king", "'king' is not collect, count, store or archive, or empty"),
        ("session_timeout_s", "2", "'2' is not a number at least 6"),
        ("commit_interval_s", "nan", "'nan' is not a number above 0"),
        ("summary_interval_s", "900", "'900' is not a number above 0 and at most 300"),
        ("namespace", "a/b", "'a/b' is not text that matches ^[a-zA-Z0-9._-]{0,60}$"),
    ],
)
def test_a_value_that_is_refused_is_told_with_what_is_allowed(
    name: str, value: str, says: str
) -> None:
    assert complaint(**{name: value}) == f"{variable(name)}: {says}"


def test_all_that_is_wrong_is_told_at_once() -> None:
    told = complaint(http_port="x", replication="0", http_prot="1")
    assert {
        part.split(":")[0].split()[0] for part in told.split("; ") if "nearest" not in part
    } == {
        "EVENT_COUNTER_HTTP_PORT",
        "EVENT_COUNTER_REPLICATION",
        "EVENT_COUNTER_HTTP_PROT",
    }


def test_a_secret_is_never_repeated() -> None:
    told = complaint(webhook_url=f"ftp://{SECRET}@example.net")
    assert told.startswith("EVENT_COUNTER_WEBHOOK_URL: the given value (not shown) ")
    assert "http:// or https://" in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("http_prot", "http_port"), ("datadir", "data_dir"), ("redis_url", "redis")],
)
def test_an_unknown_setting_is_told_with_the_nearest(name: str, nearest: str) -> None:
    told = complaint(**{name: "1"})
    assert told == f"{variable(name)} is not a setting; the nearest is {variable(nearest)}"


def test_a_name_like_no_other_has_no_nearest() -> None:
    assert complaint(xyzzy="1") == "EVENT_COUNTER_XYZZY is not a setting"


def test_the_settings_are_listed_even_where_one_is_wrong() -> None:
    done = command_line("settings", http_port="abc")
    assert done.returncode == 0, done.stderr
    for name, field in Settings.model_fields.items():
        (line,) = [text for text in done.stdout.splitlines() if text.split()[0] == variable(name)]
        assert field.description
        assert field.description in line


def test_the_settings_are_listed_for_programs() -> None:
    rows = json.loads(command_line("settings", "--json").stdout)
    by_name = {row["name"]: row for row in rows}
    assert set(by_name) == set(map(variable, Settings.model_fields))
    assert by_name["EVENT_COUNTER_HTTP_PORT"] == {
        "name": "EVENT_COUNTER_HTTP_PORT",
        "default": "8000",
        "unit": "",
        "meaning": Settings.model_fields["http_port"].description,
        "allowed": "a whole number from 1 to 65,535",
        "secret": False,
    }
    assert by_name["EVENT_COUNTER_COMMIT_INTERVAL_S"]["unit"] == "s"
    assert by_name["EVENT_COUNTER_TOKEN"]["secret"]


@pytest.mark.parametrize("command", [(), ("run",), ("worker",)])
def test_help_says_where_the_settings_are_listed(command: tuple[str, ...]) -> None:
    assert "event-counter settings" in command_line(*command, "--help").stdout
