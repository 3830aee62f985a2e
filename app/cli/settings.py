"""`event-counter settings`: all settings with their defaults, units and meaning."""

from __future__ import annotations

import json
from typing import Any

import click
from pydantic import SecretStr

from app.allowed import allowed, unit_of
from app.cli.tables import print_table
from app.settings import Settings, variable


@click.command(name="settings")
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def command(*, as_json: bool) -> None:
    """List all settings: environment variables, read once at the start."""
    rows = listed()
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    heads = ("variable", "default", "unit", "meaning")
    print_table(heads, [(row["name"], row["default"], row["unit"], row["meaning"]) for row in rows])


def listed() -> list[dict[str, Any]]:
    """Return {"name", "default", "unit", "meaning", "allowed", "secret"} of each setting."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = field.default
        rows.append(
            {
                "name": variable(name),
                "default": str(value.get_secret_value() if isinstance(value, SecretStr) else value),
                "unit": unit_of(name),
                "meaning": field.description or "",
                "allowed": allowed(field),
                "secret": field.annotation is SecretStr,
            }
        )
    return rows
