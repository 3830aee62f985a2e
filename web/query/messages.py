"""Queries and answers, as they go between workers, and how a worker asks another."""

from __future__ import annotations

from urllib.parse import unquote

import aiohttp
import msgspec
from aiohttp.web import Response

from app.errors import BadRequestError, BehindError, CounterError
from app.events.times import rfc3339
from web.http import paths
from web.http.args import SHOWN_MAX, args_of
from web.http.quick import QuickResponse
from web.http.views import JSON, OK
from web.http.worker_secret import WorkerSecret
from web.query.least import least

OWNER_TIMEOUT_S = 2.0
AS_OF = "X-Event-Counter-As-Of"  # of figures that may be old: when Kafka was last heard of

encode = msgspec.json.Encoder(decimal_format="number").encode


class Query(msgspec.Struct, array_like=True):
    """One query. path: as sent, with the query string.

    hops: workers it has been at before. waited_s: of its wait=, what passed there.
    """

    method: str
    path: str
    body: bytes = b""
    hops: int = 0
    waited_s: float = 0.0

    @property
    def segments(self) -> list[str]:
        """The parts of the path; raise BadRequestError where they are not UTF-8."""
        path = self.path.partition("?")[0].strip("/")
        try:
            return [unquote(part, errors="strict") for part in path.split("/")]
        except UnicodeDecodeError as exc:
            raise BadRequestError(f"{path[:SHOWN_MAX]} is not UTF-8") from exc

    def further(self, body: bytes | None = None) -> Query:
        """Return it as another worker is asked; body: another one."""
        asked = least.get()
        waited_s = self.waited_s if asked is None else asked.waited_s
        body = self.body if body is None else body
        return Query(self.method, self.path, body, self.hops + 1, waited_s)

    @property
    def args(self) -> dict[str, str]:
        """The query string, as args_of()."""
        return args_of(self.path.partition("?")[2])


class Answer(msgspec.Struct, array_like=True):
    """The answer to one query."""

    status: int
    body: bytes
    headers: dict[str, str]

    @classmethod
    def json(cls, value: object) -> Answer:
        """Return 200 with compact JSON."""
        return cls(OK, encode(value), JSON)

    @classmethod
    def error(cls, error: CounterError) -> Answer:
        """Return {"code", "message"} with the error's status and, where it passes, Retry-After."""
        again = error.retry_after_s
        headers = JSON if again is None else {**JSON, "Retry-After": str(again)}
        return cls(error.status, encode(error.as_dict()), headers)

    def as_of(self, seconds: float) -> Answer:
        """Return it with the time that it is of, since 1970."""
        return Answer(self.status, self.body, {**self.headers, AS_OF: rfc3339(int(seconds))})

    @property
    def is_behind(self) -> bool:
        """Whether it is the error that the tables do not hold enough yet."""
        if self.status != BehindError.status:
            return False
        error = msgspec.json.decode(self.body)
        return isinstance(error, dict) and error.get("code") == BehindError.code

    def response(self) -> Response:
        """Return it as an answer over HTTP."""
        if self.status == OK and self.headers == JSON:
            return QuickResponse(self.body, JSON["Content-Type"])
        return Response(status=self.status, body=self.body, headers=self.headers)


encode_queries = msgspec.msgpack.Encoder().encode
decode_queries = msgspec.msgpack.Decoder(list[Query]).decode
encode_answers = msgspec.msgpack.Encoder().encode
decode_answers = msgspec.msgpack.Decoder(list[Answer]).decode


async def post_queries(
    session: aiohttp.ClientSession,
    url: str,
    queries: list[Query],
    secret: WorkerSecret,
    wait_s: float = 0.0,
) -> list[Answer]:
    """Ask a count worker; return an answer for each query, in order.

    wait_s: that the queries may wait there. Raises aiohttp.ClientError, TimeoutError,
    msgspec.MsgspecError.
    """
    async with session.post(
        url.rstrip("/") + paths.QUERIES.path,
        data=encode_queries(queries),
        headers=secret.headers,
        timeout=aiohttp.ClientTimeout(total=OWNER_TIMEOUT_S + wait_s),
    ) as response:
        response.raise_for_status()
        answers = decode_answers(await response.read())
    if len(answers) != len(queries):
        raise aiohttp.ClientPayloadError(f"{len(answers)} answers to {len(queries)} queries")
    return answers
