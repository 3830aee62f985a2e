"""The tables of the pages are what the code says."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re

import pytest
from pydantic import SecretStr

from app import errors
from app.allowed import unit_of
from app.cli import COMMANDS
from app.errors import CounterError, RejectedError
from app.events.decoding import decode
from app.events.event import EVENT_MAX_BYTES, TYPE_MAX_BYTES, URL_MAX_BYTES, Event
from app.events.shapes import DEPTH_MAX, NAMES, TYPE_NAMES
from app.kafka.topics import topic_specs
from app.names import Names
from app.settings import Settings, variable
from tables.counters import declare
from tests.docs.pages import ROOT, code, table, text_of

SETTINGS = "docs/reference/settings.md"
ERRORS = "docs/reference/errors.md"
EVENTS = "docs/reference/events.md"
HTTP = "docs/reference/http.md"
COMMAND_LINE = "docs/reference/command-line.md"
METRICS = "docs/reference/metrics.md"
TOPICS = "docs/reference/topics-and-stores.md"
PACKAGES = ("agents", "app", "sql", "tables", "web")
PROGRAMS = ("__main__", "main", "leash", "faust_worker")  # imported by themselves alone
METRIC = re.compile("event_counter_[a-z_]+")
NOW_MS = 1_790_000_000_000


def documented_settings() -> str:
    """Return the rows that the settings table must have, ready to be pasted."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = field.default
        shown = str(value.get_secret_value() if isinstance(value, SecretStr) else value)
        default = f"`{shown}`" if shown else "empty"
        cells = [f"`{variable(name)}`", default, unit_of(name), field.description or ""]
        rows.append("| " + " | ".join(cells).replace("|  |", "| |") + " |")
    return "\n".join(rows)


def test_the_settings_table_is_the_settings() -> None:
    expected = documented_settings()
    assert expected in text_of(SETTINGS), f"the table should be:\n{expected}"
    assert len(table("variable", SETTINGS)) == len(Settings.model_fields)


def test_every_setting_is_described() -> None:
    fields = Settings.model_fields.items()
    assert [name for name, field in fields if not (field.description or "").endswith(".")] == []


def error_classes(base: type[CounterError] = CounterError) -> set[type[CounterError]]:
    """Return every error of the project, in whatever module it is."""
    for module in pkgutil.walk_packages([str(ROOT)]):
        if module.name.split(".")[0] in PACKAGES and not module.name.endswith(PROGRAMS):
            importlib.import_module(module.name)
    found, waiting = set(), [base]
    while waiting:
        found.add(error := waiting.pop())
        waiting += error.__subclasses__()
    return found


def test_all_errors_stand_in_one_file() -> None:
    elsewhere = {e for e in error_classes() if e.__module__ != errors.__name__}
    assert elsewhere == set()


def test_the_error_table_is_the_errors() -> None:
    listed = {code(row[0])[0]: row[1] for row in table("code", ERRORS)}
    codes = {error.code: str(error.status) for error in error_classes() if "code" in vars(error)}
    assert set(listed) == set(codes)
    in_answers = {name: status for name, status in listed.items() if status}
    assert in_answers == {name: codes[name] for name in in_answers}


def test_the_field_table_has_every_field_in_any_order() -> None:
    assert {code(row[0])[0] for row in table("field", EVENTS)} == set(Event.__struct_fields__)


def test_the_other_names_in_the_field_table_are_read() -> None:
    values = {"timestamp": "2024-03-15T14:30:00Z", "value": 5.0, "type": "A"}
    for row in table("field", EVENTS):
        field = code(row[0])[0]
        for name in code(row[1]):
            value = values.get(field, "x")
            event = {"type": "A", name: value} if field != "type" else {name: value}
            if name.startswith("Meta."):
                event = {"type": "A", "Meta": {name.removeprefix("Meta."): value}}
            read = json.loads(
                json.dumps(getattr(decode(json.dumps(event).encode(), NOW_MS), field), default=str)
            )
            assert read in (value, "2024-03-15 14:30:00+00:00"), name


def test_no_other_name_is_missing_in_the_field_table() -> None:
    written = {code(row[0])[0]: code(row[1]) for row in table("field", EVENTS)}
    assert written["type"] == list(TYPE_NAMES[1:])
    for field, names in NAMES.items():
        plain = [name for name in written[field] if not name.startswith("Meta.")]
        assert plain == list(names[1:]), field


def test_the_limits_of_an_event_are_written_down() -> None:
    text = text_of(EVENTS)
    for limit in (EVENT_MAX_BYTES, URL_MAX_BYTES, TYPE_MAX_BYTES, DEPTH_MAX):
        assert f"{limit:,} " in text, limit


@pytest.mark.parametrize("row", table("shape", EVENTS), ids=lambda row: row[0])
def test_the_shapes_are_accepted(row: list[str]) -> None:
    assert decode(code(row[1])[0].encode(), NOW_MS).type


def test_a_null_action_counts_as_null() -> None:
    assert decode(b'{"event_action":null}', NOW_MS).type == "null"
    with pytest.raises(RejectedError):
        decode(b'{"type":null}', NOW_MS)


def test_the_counters_are_listed() -> None:
    listed = {code(row[0])[0]: row for row in table("counter", HTTP)}
    declared = declare(Settings())
    assert list(listed) == list(declared)
    windows = {None: "all time", 1: "1 s", 60: "1 min", 3600: "1 h", 86_400: "1 d"}
    for name, spec in declared.items():
        assert listed[name][2] == windows[spec.window]
        assert ("for good" in listed[name][3]) == (spec.retention is None)
        assert ("url" in listed[name][1]) == (spec.key.name == "url")


def test_the_commands_are_listed() -> None:
    listed = [code(row[0])[0].split()[1] for row in table("command", COMMAND_LINE)]
    assert listed == list(COMMANDS)


def test_the_topics_are_listed() -> None:
    listed = {name for row in table("topic", TOPICS) for name in code(row[0])}
    assert listed == {spec.name for spec in topic_specs(Settings())}
    assert Names("").events in listed


def test_the_metrics_are_listed() -> None:
    listed = [code(row[0])[0] for row in table("metric", METRICS)]
    named = {
        str(node.value)
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and METRIC.fullmatch(str(node.value))
    }
    assert sorted(listed) == sorted(named)
