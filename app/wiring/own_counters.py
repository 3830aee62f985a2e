"""The counters of EVENT_COUNTER_COUNTERS: read, checked, and agreed on with all count workers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from app.counting.declared import Declared, parse_counters
from app.counting.registry import Limit, Registered, Registry, left_over, to_declare
from app.counting.spec import FIRST_DECLARED, LAST_DECLARED, TYPES
from app.errors import SettingsError, StartError
from app.kafka.clients import KafkaClients
from app.kafka.counter_log import CounterLog, has_log
from app.kafka.topics import ensure_topics
from app.kafka.watermarks import Watermarks
from app.settings import PREFIX, Settings
from tables.counters import declare

SETTING = f"{PREFIX}COUNTERS"
FILE_MAX_BYTES = 1_000_000
ALL = {"statistics": True, "dedupe_hours": 1}  # settings with which all of ours are declared
CHANGED = (
    "Its rows would mean two things: set it back, give the new one another name, or, to count "
    "anew, type: event-counter counters drop NAME"
)
MOST_TYPES = (
    f"{PREFIX}MOST_TYPES was {{}} at the first start, and what is counted as __other__ follows "
    "from that; set it back"
)
NO_STATISTICS = f"distinct values need {PREFIX}STATISTICS=true"

log = logging.getLogger(__name__)


def load_counters(settings: Settings) -> tuple[Declared, ...]:
    """Return the counters of the setting, none without it.

    Raises SettingsError that names the file and all that is wrong in it.
    """
    if not settings.counters:
        return ()
    path = Path(settings.counters)
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise SettingsError(f"{SETTING}: {path} has over {FILE_MAX_BYTES} bytes")
        found = parse_counters(path.read_text("utf-8"), declare(settings.model_copy(update=ALL)))
    except OSError as exc:
        raise SettingsError(f"{SETTING}: cannot read {path}: {exc.strerror}") from exc
    except ValueError as exc:  # of the file; UnicodeDecodeError and TOMLDecodeError are one, too
        raise SettingsError(f"{SETTING}: {path}: {exc}") from exc
    if not settings.statistics and (one := _sketched(found)):
        raise SettingsError(f"{SETTING}: {path}: {one.at('measure')}: {NO_STATISTICS}")
    return found


def _sketched(found: Iterable[Declared | Registered]) -> Any:
    return next((one for one in found if one.meaning.is_sketch), None)


def numbered_counters(settings: Settings) -> Iterator[tuple[int, Declared]]:
    """Yield the counters of the setting under numbers of no meaning, to check what names them."""
    return zip(range(FIRST_DECLARED, LAST_DECLARED), load_counters(settings), strict=False)


async def agree(settings: Settings, version: int) -> Registry:
    """Return what is declared, with what is new in this worker's file.

    version: of the tables. Raises SettingsError where the file says otherwise than the others,
    and KafkaUnavailableError.
    """
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        return await agree_on(kafka, settings, version)


async def agree_on(kafka: Watermarks, settings: Settings, version: int) -> Registry:
    """As agree(), asked over a connection that is open."""
    declared = load_counters(settings)
    registry = await _agreed(kafka, settings, declared, version)
    if not settings.statistics and (one := _sketched(registry.counting.values())):
        raise SettingsError(f"counter {one.name!r} is counted, and {NO_STATISTICS}")
    return registry


async def _agreed(
    kafka: Watermarks, settings: Settings, declared: tuple[Declared, ...], version: int
) -> Registry:
    if not await has_log(kafka, settings):
        if not declared:
            return Registry()
        await ensure_topics(settings, version)
    decisions = CounterLog(settings)
    try:
        registry = await decisions.read()
        if new := _new(settings, declared, registry):
            registry = await decisions.append(new)
            _new(settings, declared, registry)  # another worker may have been first
            log.warning("new counters: %s", ", ".join(one.name for one in new))
        if registry.limit(TYPES) is None:
            registry = await decisions.append([Limit(TYPES, settings.most_types)])
    finally:
        await decisions.close()
    if (most := registry.limit(TYPES)) != settings.most_types:
        raise SettingsError(MOST_TYPES.format(most))
    for name in left_over(declared, registry):
        log.warning(
            "counter %r is not in %s but still counted; to stop: event-counter counters drop %s",
            name,
            settings.counters or SETTING,
            name,
        )
    return registry


def _new(settings: Settings, declared: tuple[Declared, ...], registry: Registry) -> list:  # type: ignore[type-arg]
    try:
        return to_declare(declared, registry)
    except ValueError as exc:
        raise changed_error(settings, exc) from exc


def changed_error(settings: Settings, fault: ValueError) -> SettingsError:
    """Return what is said about a file that differs from what is counted."""
    return SettingsError(f"{SETTING}: {settings.counters}: {fault}. {CHANGED}")


def declared_counter(registry: Registry, name: str) -> Registered:
    """Return a counter that counts; raise StartError, which names those that do."""
    if (known := registry.counting.get(name)) is None:
        there = ", ".join(registry.counting) or "none is declared"
        raise StartError(f"no counter {name!r}; there are: {there}")
    return known
