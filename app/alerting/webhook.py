"""One call of a webhook: what it carries, how it is signed, and what its answer means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from time import time

import aiohttp

from app.addresses import signing_key
from app.stores.outages import Outage

TIMEOUT = aiohttp.ClientTimeout(total=10.0)
ID, TIMESTAMP = "X-Event-Counter-Id", "X-Event-Counter-Timestamp"
SIGNATURE = "X-Event-Counter-Signature"
# What libraries of many languages verify: standardwebhooks.com, version 1 of its signatures.
STANDARD_ID, STANDARD_TIMESTAMP = "webhook-id", "webhook-timestamp"
STANDARD_SIGNATURE = "webhook-signature"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
LATEST_RETRY_S = 3600.0  # however late Retry-After asks to come again
# Answers that another attempt may change; all from 500 on may.
PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    refused: the receiver has it and does not want it; do not send it again. reason: empty when it
    was taken. retry_after_s: what the receiver asked for.
    """

    reason: str = ""
    refused: bool = False
    retry_after_s: float = 0.0

    @property
    def taken(self) -> bool:
        """Whether it was delivered."""
        return not self.reason


def delivery_id(key: bytes) -> str:
    """Return the same for each attempt to deliver an alert; key: of its record."""
    return hashlib.sha256(key).hexdigest()[:32]


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return "sha256=" and the hexadecimal HMAC of the timestamp, a dot and the body."""
    signed = timestamp.encode() + b"." + body
    return f"sha256={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def standard_signature(secret: str, identity: str, timestamp: str, body: bytes) -> str:
    """Return the header webhook-signature: "v1," and the HMAC in base64.

    secret: whsec_ and the key in base64, else the key itself.
    """
    key = signing_key(secret)
    signed = f"{identity}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"


def pause_s(failures: int, asked_s: float, dice: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait after so many failures in a row.

    Twice as long after each, up to a limit, less up to a half at random: receivers that come back
    are not called by everybody at once. asked_s: at least so long, as the receiver said.
    """
    longest = min(FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30), LONGEST_PAUSE_S)
    return max(longest * (1 - dice() / 2), min(asked_s, LATEST_RETRY_S))


class Webhook:
    """A receiver; its address may hold a secret and is never logged as a whole."""

    def __init__(self, url: str, secret: str) -> None:
        """secret: empty: calls are not signed."""
        self._url, self._secret = url, secret
        self.outage = Outage("webhook")  # lasts while consumers come and go
        self._session: aiohttp.ClientSession | None = None

    async def call(self, key: bytes, body: bytes) -> Outcome:
        """POST an alert; body: its JSON."""
        identity, timestamp = delivery_id(key), str(int(time()))
        headers = {
            "Content-Type": "application/json",
            ID: identity,
            TIMESTAMP: timestamp,
            STANDARD_ID: identity,
            STANDARD_TIMESTAMP: timestamp,
        }
        if secret := self._secret:
            headers[SIGNATURE] = signature(secret, timestamp, body)
            headers[STANDARD_SIGNATURE] = standard_signature(secret, identity, timestamp, body)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return _outcome(answer.status, answer.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, OSError) as exc:  # TimeoutError is an OSError
            return Outcome(f"no answer: {type(exc).__name__}")

    async def close(self) -> None:
        """Disconnect."""
        if self._session is not None:
            await self._session.close()


def _outcome(status: int, retry_after: str) -> Outcome:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome()
    asked_s = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
    refused = status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in PASSING
    return Outcome(f"it answers {status}", refused, min(asked_s, LATEST_RETRY_S))
