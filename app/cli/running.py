"""The addresses that a command works with: those of the settings, or of a running copy."""

from __future__ import annotations

from pydantic import SecretStr

from app.errors import StartError
from app.settings import Settings
from app.stack.data_dir import read_run_file


def with_addresses(settings: Settings) -> Settings:
    """Return the settings with what a copy in the data directory has started, or was given.

    Raises StartError where neither a copy runs in the data directory nor a Kafka is configured.
    """
    running = read_run_file(settings.data_dir)
    if not running:
        if settings.kafka:
            return settings
        raise StartError(
            f"Nothing runs in {settings.data_dir.absolute()}. Start it with: event-counter run; "
            "or set EVENT_COUNTER_DATA_DIR to where it runs, or EVENT_COUNTER_KAFKA"
        )
    changes: dict[str, object] = {
        name: running[name] for name in ("kafka", "namespace", "count_urls") if name in running
    }
    for name in ("postgres", "redis"):
        changes[name] = SecretStr(running[name])
    return settings.model_copy(update=changes)
