"""One event, an array, or NDJSON: the content decides."""

from __future__ import annotations

import pytest

from app.errors import BodyTooLargeError, MalformedJsonError
from web.ingest import bodies
from web.ingest.bodies import split_body


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (b'{"type":"A"}', [b'{"type":"A"}']),
        (b' \n{\n"type":\n"A"}\r\n\n', [b' \n{\n"type":\n"A"}\r\n\n']),
        (b"5", [b"5"]),
        (b"[]", []),
        (b'\r\n [{"a":[1,{}]} , 5,"x\\n",null]\n', [b'{"a":[1,{}]}', b"5", b'"x\\n"', b"null"]),
        (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (b'\n\n{"a":1}\r\n \t\r\n{"b":2}', [b'{"a":1}\r', b'{"b":2}']),
        (b'{"a":1}\nnonsense\n[1]', [b'{"a":1}', b"nonsense", b"[1]"]),
        (b'{"a":\n{"b":2}', [b'{"a":', b'{"b":2}']),
        (b'"[\xff"\n1', [b'"[\xff"', b"1"]),
    ],
)
def test_a_body_is_split_by_what_it_holds(body: bytes, items: list[bytes]) -> None:
    assert split_body(body) == items


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"[1,2", b"[1]]", b"[1,,2]", b"nonsense", b"{"])
def test_a_body_that_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedJsonError):
        split_body(body)


def test_the_events_of_a_body_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "ITEMS_MAX", 3)
    for good, bad in ((b"[1,2,3]", b"[1,2,3,4]"), (b"1\n2\n3", b"1\n2\n3\n4")):
        assert len(split_body(good)) == 3
        with pytest.raises(BodyTooLargeError):
            split_body(bad)
