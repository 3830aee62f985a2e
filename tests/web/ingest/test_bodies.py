"""One event, an array, or NDJSON: the content decides."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from app.errors import BodyTooLargeError, MalformedJsonError
from tests.support.turns import turns_of
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
        (b"\xef\xbb\xbf[1]", [b"1"]),
        (b'\xef\xbb\xbf{"a":1}\n2', [b'{"a":1}', b"2"]),
    ],
)
async def test_a_body_is_split_by_what_it_holds(body: bytes, items: list[bytes]) -> None:
    assert await split_body(body) == items


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" \r\n\t", b"[1,2", b"[1]]", b"[1] x", b'["a]', b'[{"a":[1},2', b"nonsense", b"{"),
        *(b"[{},", b"[{},{},\n", b"[" + b"{}," * 30_000),
    ],
)
async def test_a_body_that_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedJsonError):
        await split_body(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"nonsense", "not JSON: JSON is malformed: invalid character (byte 1)"),
        (b'{"a":"\xff', "not JSON: byte 6 is not UTF-8"),
        (b'{"a":' * 100_000, "not JSON: it is nested too deep"),
        (b'{"a":1', "not JSON: Input data was truncated"),
    ],
)
async def test_what_is_said_of_a_body_is_true(body: bytes, says: str) -> None:
    with pytest.raises(MalformedJsonError) as caught:
        await split_body(body)
    assert str(caught.value) == says


async def test_the_events_of_a_body_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "ITEMS_MAX", 3)
    for good, bad in ((b"[1,2,3]", b"[1,2,3,4]"), (b"1\n2\n3", b"1\n2\n3\n4")):
        assert len(await split_body(good)) == 3
        with pytest.raises(BodyTooLargeError):
            await split_body(bad)


BAD_ITEMS = [
    b'{"type":"a","url":"\\ud83d"}',
    b'{"type":"a",}',
    b'{"type":"a","value":01}',
    b'{"type":"a","url":"\t"}',
    b'{"type":"a","url":"\n"}',
    b'{"type":"a","x":' + b"[" * 1100 + b"]" * 1100 + b"}",
    b'{"type":"a","value":1e400}',
    b"{'type':'a'}",
    b'{"type":"a"',
    b'{"type":"a"]}',
    b"nonsense",
    b"",
    b'{"type":"\xff"}',
    b'{"type":"a","url":"},{"}',
    b'{"url":{"a":[{},{}]}}',
]


@pytest.mark.parametrize("bad", [bad for bad in BAD_ITEMS if bad.count(b"{") <= bad.count(b"}")])
@pytest.mark.parametrize("size", [1, 3000])
async def test_a_bad_item_of_an_array_leaves_its_neighbours_alone(bad: bytes, size: int) -> None:
    good = [b'{"type":"A","number":%d}' % number for number in range(size)]
    assert await split_body(b"[%b ,%b,\n%b]" % (b",".join(good), bad, b",".join(good))) == [
        *good,
        bad,
        *good,
    ]
    assert await split_body(b"[%b,%b]" % (bad, good[0])) == [bad, good[0]]
    assert await split_body(b"[%b,%b]" % (good[0], bad)) == [good[0], bad]


async def test_an_array_is_split_in_windows_as_it_is_in_one_go() -> None:
    random = Random(4711)
    texts = [b'"},{"', b'"\\"},"', b"[{},{}]", b'{"a":[{"b":1},{"b":2}]}', b"1", b'"x"', b'"\\\\"']
    items = [
        b'{"number":%d,"text":%b}' % (number, b" " * random.randrange(40) + random.choice(texts))
        for number in range(20_000)
    ]
    body = b"[" + b",".join(items) + b"]"
    assert len(body) > 10 * bodies.WINDOW_BYTES
    assert await split_body(body) == items


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"0," * 90_000 + b"0]",
        b"[" + b"{}," * 90_000 + b"{}]",
        b'[{"a":"' + b"\\\\a" * 1_000_000 + b'"},5]',
        b'[{"a":' + b"[]," * 300_000 + b"[]}]",
        b"[" + b'{"a":[],},' * 90_000 + b"{}]",
        b"x" + b"\n" * 2_000_000,
        b"{}\n" * 90_000,
    ],
    ids=lambda body: body[:12].decode(),
)
async def test_a_long_body_is_split_in_many_turns(body: bytes) -> None:
    turns = await turns_of(split_body(body))
    assert turns >= len(body) / (6 * bodies.WINDOW_BYTES) - 1


@pytest.mark.parametrize("item", [b"0", b'{"type":1}', b"x" * 40_000, b"[]" * 10_000])
def test_a_piece_is_small_in_items_and_bytes(item: bytes) -> None:
    items = [item] * 1203
    found = list(bodies.pieces(items))
    assert list(itertools.chain(*found)) == items
    assert max(map(len, found)) <= bodies.PIECE_ITEMS
    assert max(sum(map(len, piece)) for piece in found) <= max(bodies.PIECE_BYTES, len(item))
