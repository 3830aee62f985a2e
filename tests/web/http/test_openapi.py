"""GET /openapi.json: valid, complete, and what the running server does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from app.settings import Settings
from tests.conftest import MakeSettings, StartWorker
from tests.web.conftest import Serve
from web.http.openapi import document
from web.http.openapi_calls import DETAILS
from web.http.paths import CALLS, Call, Kind

ASKED = [call for call in CALLS if call.kind is not Kind.INTERNAL]
EXAMPLES = 8  # of each call: a minute for all of them
# Left out: streams have no end.
OPTIONS = (
    *("--exclude-path", "/stream", "--exclude-path", "/tail"),
    *("--max-examples", str(EXAMPLES), "--seed", "7"),
    *("--phases", "examples,coverage,fuzzing", "--warnings", "off", "--no-shrink"),
    *("--suppress-health-check", "all", "--generation-database", "none", "--no-color"),
    *("--checks", "not_a_server_error,status_code_conformance,content_type_conformance"),
    *("--checks", "response_schema_conformance", "--continue-on-failure"),
)

# Others are 503 behind, or wait; bodies that are said to be packed, and are not, are 400.
# A server that others keep busy may answer 503 for a moment, as the document says.
GIVEN = """
[parameters]
"query.min_position" = "0:0"
"query.wait" = 0
"header.Content-Encoding" = "identity"

[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""


def test_it_is_valid() -> None:
    validate(document(), cls=OpenAPIV31SpecValidator)


def test_every_call_is_in_it_and_says_what_it_answers() -> None:
    found = document()["paths"]
    declared = {(call.path, call.method.lower()) for call in ASKED}
    assert {(path, method) for path, calls in found.items() for method in calls} == declared
    names = [operation["operationId"] for calls in found.values() for operation in calls.values()]
    assert len(set(names)) == len(names)
    assert [call.path for call in ASKED if call not in DETAILS] == []


def test_a_call_that_is_only_declared_is_in_it_too() -> None:
    call = Call("GET", "/a/{b}/c", Kind.FIGURES, "A new one.")
    made = document([call])
    validate(made, cls=OpenAPIV31SpecValidator)
    (parameter,) = made["paths"]["/a/{b}/c"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"]) == ("b", "path")


async def test_below_the_path_of_a_proxy_the_calls_are_there(
    serve: Serve, make_settings: MakeSettings
) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1", base_path="/counter"))
    for path in ("/counter/openapi.json", "/openapi.json"):  # the proxy may strip its path
        assert (await http.get(path)).json["servers"] == [{"url": "/counter"}], path


@pytest.mark.timeout(600)
async def test_the_running_server_does_what_it_says(
    settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    await start_worker(settings, "count")
    collector = await start_worker(settings, "collect")
    async with aiohttp.ClientSession() as http, http.get(f"{collector.url}/openapi.json") as answer:
        assert await answer.json() == document()
    (tmp_path / "schemathesis.toml").write_text(GIVEN)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{collector.url}/openapi.json"),
        *OPTIONS,
        cwd=tmp_path,  # it leaves files behind
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
