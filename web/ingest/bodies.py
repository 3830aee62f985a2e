"""Splits the body of POST /events into its events: one object, a JSON array, or NDJSON.

A body has up to 16 MB and whatever its sender likes in it, so no step of this looks at more than
some 64 KB or 10,000 brackets before other requests get their turn.
"""

from __future__ import annotations

import asyncio
import re
from codecs import BOM_UTF8
from collections.abc import Iterator

import msgspec

from app.errors import BodyTooLargeError, MalformedJsonError
from app.events.malformed import why_not_json

ITEMS_MAX = 100_000  # of one body; as the smallest events possible they have over 1 MB
WINDOW_BYTES = 65_536  # decoded in one step: 0.2 ms, of empty objects 3 ms
TURN_TOKENS = 10_000  # brackets and the like, looked at one by one: 4 ms
WINDOW_TOKENS = TURN_TOKENS // 4  # what a window costs at most
LOOK_TOKENS = 1000  # of a long item, before the turn is looked at
ONE_VALUE_MAX_BYTES = 1_048_576  # what is longer is no event; to find that out takes 4 ms a MB
# Decoded in one turn: 5 ms where all are faulty, 10 where they are nothing but brackets.
PIECE_ITEMS, PIECE_BYTES = 500, 65_536
CUTS_TRIED = 8  # a window may end in nested objects
SLOW_MAX = 1024  # items taken one by one until a window is tried again
SPACE = b" \t\r\n"

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_REST = rb'[^"\\]*+(?:\\.[^"\\]*+){0,5000}+(")?'  # of a string; its end, if it comes so soon
_TOKEN = re.compile(rb'"%b|[\[\]{},]' % _REST, re.DOTALL)
_rest_of_string = re.compile(_REST, re.DOTALL).match
_OPENING, _CLOSING, _QUOTE, _COMMA, _END = b"{[", b"}]", ord('"'), ord(","), ord("]")


async def split_body(body: bytes) -> list[bytes]:
    """Return the JSON text of each event, not yet checked; blank lines are skipped.

    The content decides, whatever Content-Type says: an array begins with a bracket, what is one
    JSON value is one event, all else is taken line by line. An item of an array may be anything
    whose brackets and quotes close: its neighbours are found all the same.
    Raises MalformedJsonError: an array that is cut or followed by something, a body that is no
    JSON at all, or an empty one. Raises BodyTooLargeError over ITEMS_MAX.
    """
    body = body.removeprefix(BOM_UTF8)
    text = body.lstrip(SPACE)
    if not text:
        raise MalformedJsonError("the body is empty")
    if text.startswith(b"["):
        return await _split_array(text, 1)
    if len(body) <= ONE_VALUE_MAX_BYTES:
        try:
            _decode_raw(body)
        except _FAULTS as exc:
            # Its traceback would keep this frame, and so the body, in a cycle.
            fault = exc.with_traceback(None)
        else:
            return [body]
        lines = await _split_lines(body)
        if len(lines) == 1:
            raise MalformedJsonError(f"not JSON: {why_not_json(body, fault)}")
        return lines
    return await _split_lines(body)


def pieces(items: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the items in order, as many at once as may be decoded in one turn."""
    begin = size = 0
    for at, item in enumerate(items):
        size += len(item)
        if at - begin == PIECE_ITEMS or (size > PIECE_BYTES and at > begin):
            yield items[begin:at]
            begin, size = at, len(item)
    if begin < len(items):
        yield items[begin:]


async def _split_lines(body: bytes) -> list[bytes]:
    lines: list[bytes] = []
    at = 0
    while at < len(body):
        end = body.rfind(b"\n", at, at + WINDOW_BYTES)
        if end < 0:  # one long line
            end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        lines += [line for line in body[at:end].split(b"\n") if line.strip()]
        _check(lines)
        at = end + 1
        await asyncio.sleep(0)
    return lines


class _Turn:
    """What was done since other requests had their turn."""

    def __init__(self) -> None:
        self._tokens = 0

    async def spend(self, tokens: int) -> None:
        """Give way where it has become much."""
        self._tokens += tokens
        if self._tokens >= TURN_TOKENS:
            self._tokens = 0
            await asyncio.sleep(0)


async def _split_array(body: bytes, at: int) -> list[bytes]:
    """Return the items; at: behind the bracket that opens it."""
    items: list[bytes] = []
    turn, slow, is_open = _Turn(), 1, True
    while is_open:
        await turn.spend(WINDOW_TOKENS)
        if items and body[at : at + WINDOW_BYTES].strip(SPACE) == b"]":
            return _checked([*items, b""])  # a comma behind the last item
        if (found := _window(body, at)) is not None:
            more, at, is_open = found
            items += more
            slow = 1
        else:
            for _ in range(slow):
                item, at, is_open = await _item(body, at, turn)
                items.append(item)
                if not is_open:
                    break
            slow = min(2 * slow, SLOW_MAX)
            if not is_open and body[at:].strip(SPACE):
                raise MalformedJsonError("there is data after the array")
        _check(items)
    return items


def _window(body: bytes, at: int) -> tuple[list[bytes], int, bool] | None:
    """Return whole items, where the next begins, whether there is one.

    None where this way finds no item that is complete and JSON.
    """
    if len(body) - at <= WINDOW_BYTES:
        try:
            return [bytes(item) for item in _decode_items(b"[" + body[at:])], len(body), False
        except _FAULTS:
            pass
    cut = at + WINDOW_BYTES
    for _ in range(CUTS_TRIED):
        cut = body.rfind(b"},", at, cut)
        if cut < 0:
            return None
        try:  # what is an array of its own between two commas is what stands between them
            found = _decode_items(b"[" + body[at : cut + 1] + b"]")
        except _FAULTS:
            continue
        return [bytes(item) for item in found], cut + len(b"},"), True
    return None


async def _item(body: bytes, at: int, turn: _Turn) -> tuple[bytes, int, bool]:
    """Return the item that begins at a place, where the next begins, whether there is one."""
    begin, depth, number = at, 0, 0
    while at < len(body):
        for token in _TOKEN.finditer(body, at):
            number += 1
            if number % LOOK_TOKENS == 0:
                await turn.spend(LOOK_TOKENS)
            place = token.start()
            byte = body[place]
            if byte == _QUOTE:
                if token.lastindex is None:  # a long one
                    at = await _end_of_string(body, token.end(), turn)
                    break
            elif byte in _OPENING:
                depth += 1
            elif depth:
                depth -= byte in _CLOSING
            elif byte in (_COMMA, _END):
                await turn.spend(number % LOOK_TOKENS)
                return body[begin:place].strip(SPACE), place + 1, byte == _COMMA
        else:
            break
    raise MalformedJsonError("the array is not closed")


async def _end_of_string(body: bytes, at: int, turn: _Turn) -> int:
    while at < len(body):
        rest = _rest_of_string(body, at)
        assert rest is not None  # noqa: S101 - it matches nothing, too
        at = rest.end()
        if rest.lastindex:
            break
        await turn.spend(WINDOW_TOKENS)
    return at


def _check(items: list[bytes]) -> None:
    if len(items) > ITEMS_MAX:
        raise BodyTooLargeError(f"the body has more than {ITEMS_MAX} events")


def _checked(items: list[bytes]) -> list[bytes]:
    _check(items)
    return items
