"""What of an event declared counters count by: it stays when a user is forgotten. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from app.counting.declared import Meaning
from app.counting.declared_fields import PROPERTY
from app.counting.registry import Registered
from app.counting.visitor_dimensions import VISITOR_DIMENSIONS

USER = "user_id"
VISITOR_FIELDS = ("referrer", "user_agent")  # that VISITOR_DIMENSIONS are made of, beside the url


class KeptFields(NamedTuple):
    """Names of fields, and paths of properties."""

    fields: list[str]
    properties: list[str]


def kept_fields(meanings: Iterable[Meaning]) -> KeptFields:
    """Return what some counters look at."""
    names: set[str] = set()
    for meaning in meanings:
        measured = meaning.measure.partition(":")[2]
        names |= {meaning.key, meaning.label, measured, *meaning.where}
    if names & VISITOR_DIMENSIONS.keys():
        names.update(VISITOR_FIELDS)
    properties = {name for name in names if name.startswith(PROPERTY)}
    return KeptFields(
        sorted(names - properties - {""}),
        sorted(name.removeprefix(PROPERTY) for name in properties),
    )


class ByUser(NamedTuple):
    """Numbers of counters: those whose keys, and those whose labels, are users."""

    keys: list[int]
    labels: list[int]


def by_users(counters: Iterable[Registered]) -> ByUser:
    """Return which counters have names of users in their rows."""
    known = list(counters)
    return ByUser(
        [one.number for one in known if one.meaning.key == USER],
        [one.number for one in known if one.meaning.label == USER],
    )
