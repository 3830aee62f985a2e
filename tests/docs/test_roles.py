"""Each role has the agents, tables and paths that the pages list, and no others."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from aiohttp.test_utils import make_mocked_request

from app.factory import create_app
from app.settings import Role, Settings
from tests.docs.pages import PAGES, URL, code, examples, table, text_of

ROLES: list[Role] = [role for role in get_args(Role) if role]
AWAY = {
    "kafka": "127.0.0.1:1",
    "postgres": "postgresql://nobody@127.0.0.1:1/nothing",
    "redis": "redis://127.0.0.1:1/0",
}


def app_of(role: Role) -> Any:
    """Return the app of a role; nothing of it is started, and nothing is connected."""
    return create_app(Settings.model_validate({"role": role, **AWAY}))


def routes_of(app: Any) -> set[str]:
    """Return what is served, as "METHOD /path"; HEAD goes with GET."""
    routes = app.web.web_app.router.routes()
    found = {f"{r.method} {r.resource.canonical}" for r in routes}
    heads = {f"HEAD {route.removeprefix('GET ')}" for route in found if route.startswith("GET ")}
    assert {route for route in found if route.startswith("HEAD ")} == heads
    return found - heads


def both_spellings(route: str) -> set[str]:
    """Return a route with and without its final slash."""
    method, path = route.split()
    return {f"{method} {path.rstrip('/') or '/'}", f"{method} {path.rstrip('/')}/"}


def listed(role: str) -> list[list[str]]:
    """Return agents, tables and routes of a role as documented."""
    row = next(row for row in table("role", "docs/concepts/flow.md") if code(row[0]) == [role])
    return [code(cell) for cell in row[1:]]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_the_listed_agents_and_tables(role: Role) -> None:
    app = app_of(role)
    agents, tables, _ = listed(role)
    assert sorted(app.agents) == sorted(agents)
    assert sorted(app.tables) == sorted(tables)
    assert app.conf.id == f"event-counter-{role}"


def test_without_statistics_a_count_worker_has_only_its_counters() -> None:
    app = create_app(Settings.model_validate({"role": "count", "statistics": False, **AWAY}))
    assert sorted(app.agents) == ["count_events", "merge_counts"]
    assert sorted(app.tables) == ["messages", "partials", "totals"]
    assert not any("/stats/" in route for route in routes_of(app))


@pytest.mark.parametrize("role", ROLES)
def test_a_role_serves_the_listed_paths_with_and_without_slash(role: Role) -> None:
    routes = listed(role)[2]
    assert routes_of(app_of(role)) == set().union(*map(both_spellings, routes))


async def test_every_example_is_served_by_the_collector() -> None:
    router = app_of("collect").web.web_app.router
    for example in [example for page in PAGES for example in examples(page)]:
        match = await router.resolve(make_mocked_request(example.method, example.path))
        assert match.http_exception is None, example


async def test_every_address_in_the_pages_is_served() -> None:
    router = app_of("collect").web.web_app.router
    paths = {path for page in PAGES for path in URL.findall(text_of(page)) if path}
    assert paths
    for path in paths:
        matches = [
            await router.resolve(make_mocked_request(method, path))
            for method in ("GET", "POST", "PUT")
        ]
        assert any(match.http_exception is None for match in matches), path
