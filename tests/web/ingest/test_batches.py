"""Batches of other clients that are made to cost much: what they take is bounded."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from tests.conftest import MakeSettings
from tests.support.http import Http
from tests.web.conftest import Serve


@pytest.mark.parametrize(
    ("path", "around"), [("/api/batch", b"[%b]"), ("/v1/batch", b'{"batch":[%b]}')]
)
async def test_the_faults_of_a_batch_are_all_counted_and_not_all_kept(
    http: Http, path: str, around: bytes
) -> None:
    many = 20_000
    body = around % b",".join([b"0"] * many)
    tracemalloc.start()
    try:
        got = await http.post(path, body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    shown = got.json.get("details", got.json["errors"])
    assert (got.json.get("rejected", got.json["errors"]), len(shown)) == (many, 100)
    assert most < many * 300


@pytest.mark.parametrize("part", ["context", "sentAt", "writeKey"])
async def test_what_surrounds_a_batch_is_not_made_into_objects_before_its_size_is_known(
    http: Http, part: str
) -> None:
    many = 500_000
    body = gzip.compress(b'{"batch":[],"%b":[%b0]}' % (part.encode(), b"[]," * many))
    tracemalloc.start()
    try:
        got = await http.post("/v1/batch", body, Content_Encoding="gzip")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (got.status, got.json["code"]) == (413, "body_too_large")
    assert most < many * 20


async def test_who_has_no_key_is_told_so_before_more_is_read(
    serve: Serve, make_settings: MakeSettings
) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1", write_keys="key-one=shop"))
    body = b'{"batch":[],"writeKey":"other","context":"%b"}' % (b"x" * 40_000)
    assert (await http.post("/v1/batch", body)).json["code"] == "unknown_write_key"
