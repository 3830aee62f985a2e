"""How many may follow a stream at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp.web import Request

from app.errors import OverloadedError
from web.http.client import Address, Clients


class Seats:
    """Of one stream; one reader leaves room for others."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._taken = Counter[Address | None]()

    @contextmanager
    def taken(self, request: Request, most: int, of_one_address: int) -> Iterator[None]:
        """Hold a seat meanwhile; raise OverloadedError where there is none."""
        address = self._clients.address(request)
        if self._taken.total() >= most or self._taken[address] >= of_one_address:
            raise OverloadedError("too many streams are open from this address")
        self._taken[address] += 1
        try:
            yield
        finally:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]
