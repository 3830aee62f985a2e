"""What a start prepares in the database."""

from __future__ import annotations

import pytest

from app.stack.prepare import prepare_database
from tests.conftest import MakeSettings
from tests.support.database import Database


@pytest.mark.parametrize(
    ("changes", "limit"), [({}, 10), ({"bot_limit": 3}, 3), ({"statistics": False}, None)]
)
async def test_the_view_drops_what_the_settings_say(
    make_settings: MakeSettings, changes: dict[str, object], limit: int | None
) -> None:
    settings = await make_settings(**changes)
    for _ in range(2):
        await prepare_database(settings)
    rows = await Database(settings.postgres.get_secret_value()).fetch("table bot_rule")
    assert [row["bot_limit"] for row in rows] == [limit]
