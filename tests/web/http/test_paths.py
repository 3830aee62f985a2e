"""A call is declared once: who serves it and who may make it follow from that."""

from __future__ import annotations

from typing import get_args

import pytest

from app.settings import Role
from tests.docs.test_roles import app_of, both_spellings, routes_of
from web.http import paths
from web.http.paths import CALLS, CallFinder, Kind

ROLES: list[Role] = [role for role in get_args(Role) if role]
find = CallFinder().find


@pytest.mark.parametrize("role", ROLES)
def test_a_role_serves_what_is_declared_for_it_and_nothing_else(role: Role) -> None:
    declared = {f"{call.method} {call.path}" for call in CALLS if role in call.roles}
    assert routes_of(app_of(role)) == set().union(*map(both_spellings, declared))


def test_a_call_is_found_by_either_spelling_and_by_head_where_it_is_get() -> None:
    for call in CALLS:
        path = call.path.replace("{", "").replace("}", "")
        for spelling in {path, path.rstrip("/") or "/", path.rstrip("/") + "/"}:
            for method in call.methods:
                assert find(method, spelling) is call, (method, spelling)
            assert find("DELETE", spelling) is None


@pytest.mark.parametrize(
    ("method", "path", "call"),
    [
        ("GET", "/stats/ads/34", paths.ONE_AD),
        ("HEAD", "/counters/", paths.COUNTERS),
        ("GET", "/", paths.DASHBOARD),
        ("POST", "/", paths.ADS),
        ("GET", "//counters", None),
        ("GET", "/static/../counters", None),
        ("GET", "/static/a/b", None),
        ("GET", "/stats", None),
        ("POST", "/counters", None),
        ("GET", "", None),
    ],
)
def test_what_a_request_asks_for(method: str, path: str, call: paths.Call | None) -> None:
    assert find(method, path) is call


def test_figures_and_nothing_else_are_passed_on() -> None:
    assert {call.kind for call in CALLS if call.by_count} == {Kind.FIGURES}


def test_no_call_is_declared_twice() -> None:
    called = [(call.method, call.path.rstrip("/")) for call in CALLS]
    assert len(called) == len(set(called))


def test_every_call_says_what_it_does() -> None:
    assert [call.path for call in CALLS if not call.summary.endswith(".")] == []
