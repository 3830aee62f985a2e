"""Ask the count worker that owns a key."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp.web import Request, Response

from app.errors import RecoveringError
from app.ownership import Ownership

HOP = "X-Event-Counter-Hop"  # a request is passed on once: owners may disagree in a rebalance
TIMEOUT = aiohttp.ClientTimeout(total=2.0)


async def answer_of_owner(
    app: Any, request: Request, ownership: Ownership, partition: int
) -> Response | None:
    """Return the owner's answer to this request; None when this worker owns the partition.

    Raises RecoveringError when nobody can answer for it now.
    """
    url = ownership.url(partition)
    if url is None:
        return None
    if HOP in request.headers:
        raise RecoveringError("the key is moving to another worker")
    try:
        async with app.http_client.request(
            request.method,
            url + request.path_qs,
            data=await request.read(),
            headers={HOP: "1", "Content-Type": request.content_type},
            timeout=TIMEOUT,
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k in {"Retry-After", "Content-Type"}}
            return Response(body=await answer.read(), status=answer.status, headers=kept)
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise RecoveringError(f"the worker that owns the key does not answer: {exc}") from exc
