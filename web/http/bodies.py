"""Reads request bodies: within bounds of size, time and memory, and unpacks them step by step.

aiohttp unpacks while it receives, in the turn of the event loop in which the bytes come: 15 MB that
hold 15 GB of blanks stop all others for seconds, and text that is cut in the middle passes for the
whole. So the server takes bodies as they are, and this module unpacks them.
"""

from __future__ import annotations

import asyncio
import zlib

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.hdrs import CONTENT_ENCODING
from aiohttp.web import Request, RequestPayloadError

from app.errors import (
    BadRequestError,
    BodyTooLargeError,
    OverloadedError,
    RequestTimeoutError,
    UnsupportedCodingError,
)

BODY_TIMEOUT_S = 60.0  # from its first byte to its last: 16 MB over 2 Mbit/s
STEP_BYTES = 262_144  # unpacked in one turn: 1 ms
MEMBERS_MAX = 1000  # of a gzip file; a concatenation of many more is made to cost time
FREE_BYTES = 65_536  # bodies up to here are not counted: connections are
GZIP, ZLIB, DEFLATE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
CODINGS = {"gzip": GZIP, "x-gzip": GZIP, "deflate": ZLIB}
PLAIN = {"", "identity"}
ZLIB_METHOD, ZLIB_METHOD_MASK = 8, 0x0F  # of the first byte, RFC 1950


class Bodies:
    """Counts the bytes of all bodies that a server holds, and of all answers on their way."""

    def __init__(self, body_max_bytes: int, all_max_bytes: int) -> None:
        """body_max_bytes: of one body, as sent and unpacked. all_max_bytes: of all, packed too."""
        self.body_max_bytes = body_max_bytes
        self.all_max_bytes = all_max_bytes
        self.held_bytes = 0


class Holding:
    """What one request holds of it, and then its answer until it is sent."""

    __slots__ = ("_bodies", "bytes")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.bytes = 0

    @property
    def body_max_bytes(self) -> int:
        """Bytes that a body may have."""
        return self._bodies.body_max_bytes

    def grow(self, size: int) -> None:
        """Count more bytes; raise OverloadedError where all together are too many.

        One that is alone may have more: it would be refused for ever.
        """
        bodies = self._bodies
        if self.bytes < bodies.held_bytes > bodies.all_max_bytes - size:
            raise OverloadedError(f"{bodies.held_bytes} bytes of requests are in memory")
        self.keep(size)

    def reserve(self, size: int) -> None:
        """As grow(), for what a body will be made of; a little of it is not counted."""
        if size > FREE_BYTES:
            self.grow(size)

    def keep(self, size: int) -> None:
        """Count more bytes that are there already, however many there are."""
        self._bodies.held_bytes += size
        self.bytes += size

    def release(self) -> None:
        """Count none any more."""
        self._bodies.held_bytes -= self.bytes
        self.bytes = 0


async def read(request: Request, holding: Holding, most: int) -> bytes:
    """Return the body, unpacked where Content-Encoding says so; most: bytes, as sent and unpacked.

    Raises UnsupportedCodingError, BodyTooLargeError, OverloadedError, RequestTimeoutError, and
    BadRequestError where it ends early or is not what its headers say.
    """
    coding = request.headers.get(CONTENT_ENCODING, "").strip().lower()
    if coding not in PLAIN and coding not in CODINGS:
        raise UnsupportedCodingError(f"the body is encoded by {coding[:60]}")
    try:
        if request.content.is_eof():  # it came with its head, as most do
            body = await request.content.readany()
        else:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await _receive(request.content, holding, most)
    except TimeoutError as exc:
        raise RequestTimeoutError(f"the body took more than {BODY_TIMEOUT_S:.0f} s") from exc
    except (RequestPayloadError, ClientPayloadError) as exc:
        raise BadRequestError("the body does not match its headers") from exc
    except ConnectionError as exc:
        raise BadRequestError("the connection closed before the body was complete") from exc
    if len(body) > most:
        raise BodyTooLargeError(f"the body has more than {most} bytes")
    return body if coding in PLAIN else await unpack(body, CODINGS[coding], holding, most)


async def _receive(content: StreamReader, holding: Holding, most: int) -> bytes:
    """Return a body that comes in several parts, or the beginning of one that is too large."""
    parts, size = [], 0
    try:
        while size <= most and not content.at_eof():
            parts.append(await content.readany())
            size += len(parts[-1])
            if size > FREE_BYTES:
                holding.grow(size - holding.bytes)
        return b"".join(parts)
    finally:
        parts.clear()  # an error that is raised here would keep them for as long as it is kept


async def unpack(packed: bytes, window_bits: int, holding: Holding, most: int) -> bytes:
    """Return what is packed, in turns; raise BadRequestError where it is cut or damaged."""
    if window_bits == ZLIB and packed and packed[0] & ZLIB_METHOD_MASK != ZLIB_METHOD:
        window_bits = DEFLATE  # what some clients mean by deflate
    parts, size = [], 0
    for members, member in enumerate(_Members(packed, window_bits), 1):
        if members > MEMBERS_MAX:
            raise BadRequestError(f"the body has more than {MEMBERS_MAX} gzip members")
        while not member.eof:
            part = member.step()
            size += len(part)
            if size > most:
                raise BodyTooLargeError(f"the unpacked body has more than {most} bytes")
            if size > FREE_BYTES:
                holding.grow(len(part))
            parts.append(part)
            if not member.is_last:
                await asyncio.sleep(0)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _Members:
    """The members of a gzip file one after the other, each to be stepped through to its end."""

    def __init__(self, packed: bytes, window_bits: int) -> None:
        self._packed = memoryview(packed)
        self._at = 0
        self._bits = window_bits

    def __iter__(self) -> _Members:
        return self

    def __next__(self) -> _Members:
        if self._at and (self._at >= len(self._packed) or self._bits != GZIP):
            if self._at < len(self._packed):
                raise BadRequestError("there is data after the compressed body")
            raise StopIteration
        self._unpacker = zlib.decompressobj(self._bits)
        return self

    @property
    def eof(self) -> bool:
        """Whether the member is complete."""
        return self._unpacker.eof

    @property
    def is_last(self) -> bool:
        """Whether nothing is left."""
        return self.eof and self._at >= len(self._packed)

    def step(self) -> bytes:
        """Return the next bytes of the member; raise BadRequestError where there are none."""
        given = self._packed[self._at : self._at + STEP_BYTES]
        try:
            part = self._unpacker.decompress(given, STEP_BYTES)
        except zlib.error as exc:
            raise BadRequestError(f"the body cannot be unpacked: {exc}") from exc
        left = len(self._unpacker.unconsumed_tail) + len(self._unpacker.unused_data)
        self._at += len(given) - left
        if not part and not self.eof and self._at >= len(self._packed):
            raise BadRequestError("the compressed body is cut off")
        return part
