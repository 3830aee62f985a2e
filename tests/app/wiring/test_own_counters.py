"""A counters.toml that asks for what the settings leave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.kafka.tables_version import FIRST
from app.kafka.topics import ensure_topics
from app.settings import Settings
from app.wiring.own_counters import agree, load_counters

COUNTERS = """[[counter]]
name = "orders"
window = "1d"

[[counter]]
name = "buyers"
measure = "distinct:user_id"
window = "1d"
"""
NEED = "distinct values need EVENT_COUNTER_STATISTICS=true"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "counters.toml"
    found.write_text(COUNTERS, "utf-8")
    return found


def test_distinct_values_are_refused_while_statistics_are_off(file: Path) -> None:
    settings = Settings(counters=str(file), statistics=False)
    with pytest.raises(SettingsError) as refused:
        load_counters(settings)
    assert str(refused.value).startswith(
        f"EVENT_COUNTER_COUNTERS: {file}: line 7: counter 'buyers': measure: {NEED}"
    )
    assert len(load_counters(settings.model_copy(update={"statistics": True}))) == 2
    file.write_text(COUNTERS.partition("\n\n")[0], "utf-8")
    assert [one.name for one in load_counters(settings)] == ["orders"]


async def test_statistics_stay_on_while_distinct_values_are_counted(
    settings: Settings, file: Path
) -> None:
    """One that is no longer in the file is counted on, until it is dropped."""
    await ensure_topics(settings)
    on = settings.model_copy(update={"statistics": True})
    declared = await agree(on.model_copy(update={"counters": str(file)}), FIRST)
    assert len(declared.counting) == 2
    assert len((await agree(on, FIRST)).counting) == 2
    with pytest.raises(SettingsError, match=f"counter 'buyers' is counted, and {NEED}"):
        await agree(settings.model_copy(update={"statistics": False}), FIRST)
