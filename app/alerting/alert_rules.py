"""The rules file: TOML, checked as a whole before anything starts."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.alerting.alerts import Rule
from app.counting.counters import Counters
from app.counting.measures import MICROS, PLACES, SUM_MAX
from app.counting.spec import AD_KIND, EVERYTHING, HOUR, OTHER_KEY, TYPE, CounterSpec
from app.errors import SettingsError
from app.events.derived import AD_KINDS
from app.settings import PREFIX, Settings

SETTING = f"{PREFIX}ALERT_RULES"
RULES_MAX = 100
FILE_MAX_BYTES = 1_000_000
DEFAULT_RULES = (
    Rule("page_views", "page_views_by_page_hourly", "", 15, HOUR),
    Rule("website_clicks", "clicks_by_website_hourly", "", 3, HOUR),
)


def _as_decimal(value: object) -> object:
    """Return a number of TOML as a Decimal; its floats are read as one."""
    if type(value) is int:
        return Decimal(value)
    if type(value) is not Decimal:
        raise ValueError("write a number without quotes, e.g. 19.99")
    return value


class _Entry(BaseModel):
    """A [[rule]] as it is written; what it says about the counter is checked later."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    counter: str
    label: str = ""
    window: int | None = None
    key: str | None = None


class _CountEntry(_Entry):
    threshold: int = Field(ge=1, lt=1 << 53)


class _SumEntry(_Entry):
    threshold: Annotated[
        Decimal,
        BeforeValidator(_as_decimal),
        Field(gt=0, lt=SUM_MAX // MICROS, decimal_places=PLACES, allow_inf_nan=False),
    ]


def load_rules(settings: Settings, counters: Counters) -> tuple[Rule, ...]:
    """Return the rules of the setting, or the defaults; none without statistics.

    Raises SettingsError that names the file and all that is wrong in it.
    """
    if not settings.alert_rules:
        return DEFAULT_RULES if settings.statistics else ()
    if not settings.statistics:
        raise SettingsError(f"{SETTING}: alerts need {PREFIX}STATISTICS=true")
    path = Path(settings.alert_rules)
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise SettingsError(f"{SETTING}: {path} has over {FILE_MAX_BYTES} bytes")
        return parse_rules(path.read_text("utf-8"), counters)
    except OSError as exc:
        raise SettingsError(f"{SETTING}: cannot read {path}: {exc.strerror}") from exc
    except ValueError as exc:  # of the file; UnicodeDecodeError and TOMLDecodeError are one, too
        raise SettingsError(f"{SETTING}: {path}: {exc}") from exc


def parse_rules(text: str, counters: Counters) -> tuple[Rule, ...]:
    """Return the rules of a file; raise ValueError that names line, or rule and field."""
    try:
        found = tomllib.loads(text, parse_float=Decimal)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if unknown := sorted(found.keys() - {"rule"}):
        raise ValueError(f"unknown table {unknown[0]!r}; only [[rule]] is allowed")
    entries = found.get("rule", [])
    if not isinstance(entries, list):
        raise ValueError("write each rule as [[rule]], with two brackets")  # noqa: TRY004
    if len(entries) > RULES_MAX:
        raise ValueError(f"{len(entries)} rules; at most {RULES_MAX}")
    rules: list[Rule] = []
    faults: list[str] = []
    for number, entry in enumerate(entries, 1):
        try:
            rules.append(_rule(entry, counters, {rule.name for rule in rules}))
        except ValidationError as exc:
            faults += [f"{_named(number, entry)}: {fault}" for fault in _faults(exc)]
        except ValueError as exc:
            faults.append(f"{_named(number, entry)}: {exc}")
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(rules)


def _rule(entry: Any, counters: Counters, names: set[str]) -> Rule:
    named = entry.get("counter") if isinstance(entry, dict) else None
    spec = counters.get(named) if isinstance(named, str) else None
    is_sum = spec is not None and spec.measure.kind == "sum"
    given = (_SumEntry if is_sum else _CountEntry).model_validate(entry)
    if given.name in names:
        raise ValueError("name: another rule has the same one")
    if spec is None:
        raise ValueError(f"counter: no {given.counter!r}; there are {', '.join(counters)}")
    window = _checked_window(given, spec, counters)
    _check_place(given, spec)
    threshold = int(given.threshold * MICROS) if is_sum else int(given.threshold)
    return Rule(given.name, spec.name, given.label, threshold, window, given.key, spec.measure)


def _checked_window(given: _Entry, spec: CounterSpec, counters: Counters) -> int:
    """Return the window of a rule in s; raise ValueError where its counter has no such one."""
    if spec.window is None:
        raise ValueError(f"counter: {spec.name} has no windows; it counts all time")
    if given.window not in (None, spec.window):
        fitting = [other.name for other in counters.values() if other.window == given.window]
        instead = f"counters with such a window: {', '.join(fitting)}" if fitting else "none has it"
        raise ValueError(f"window: {spec.name} counts by {spec.window} s; {instead}")
    return spec.window


def _check_place(given: _Entry, spec: CounterSpec) -> None:
    """Raise ValueError where the counter can have no such label or key."""
    if spec.label is EVERYTHING and given.label:
        raise ValueError(f"label: {spec.name} has none; leave it out")
    if spec.label is not EVERYTHING and not given.label:
        raise ValueError(f"label: {spec.name} counts by {spec.label.name}; say which one")
    known = {TYPE: spec.types, AD_KIND: set(AD_KINDS.values())}.get(spec.label)
    if known and given.label not in {*known, OTHER_KEY}:
        raise ValueError(f"label: {spec.name} counts {', '.join(sorted(known))}")
    if spec.key is EVERYTHING and given.key:
        raise ValueError(f"key: {spec.name} has none; leave it out")


def _named(number: int, entry: Any) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"rule {number}" + (f" ({name[:64]!r})" if isinstance(name, str) else "")


def _faults(exc: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, error['loc'])) or 'rule'}: {error['msg']}"
        for error in exc.errors(include_url=False, include_input=False)
    ]
