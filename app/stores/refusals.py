"""Why Postgres or Redis will not do, in one line with what to set or grant; pure."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import asyncpg
from redis.exceptions import AuthenticationError, NoPermissionError

from app.errors import reason

POSTGRES, REDIS = "EVENT_COUNTER_POSTGRES", "EVENT_COUNTER_REDIS"
TODO: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((asyncpg.InvalidCatalogNameError,), "Create it: create database NAME encoding 'UTF8'"),
    (
        (asyncpg.InsufficientPrivilegeError,),
        (
            "Type as its owner: grant create on database NAME to ROLE; "
            "grant create, usage on schema public to ROLE"
        ),
    ),
    (
        (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError),
        f"Check what follows the ? in {POSTGRES}",
    ),
)


def refused_by_postgres(exc: BaseException) -> str:
    """Return what has to be changed; empty where Postgres may be away or starting."""
    if text := _of_tls(exc, POSTGRES, "sslrootcert="):
        return text
    if isinstance(exc, FileNotFoundError):
        return f"{POSTGRES} names a file that is not there: {exc.filename}"
    if isinstance(exc, asyncpg.InvalidAuthorizationSpecificationError):
        return f"Postgres lets nobody in: {reason(exc)}. Check user and password in {POSTGRES}"
    return next(
        (f"Postgres: {reason(exc)}. {todo}" for kinds, todo in TODO if isinstance(exc, kinds)), ""
    )


def refused_by_redis(exc: BaseException) -> str:
    """Return what has to be changed; empty where Redis may be away or starting."""
    if text := _of_tls(exc, REDIS, "ssl_ca_certs="):
        return text
    if isinstance(exc, AuthenticationError):
        return f"Redis lets nobody in: {reason(exc)}. Check user and password in {REDIS}"
    if isinstance(exc, NoPermissionError):
        return f"Redis: {reason(exc)}. Grant it: ACL SETUSER NAME ~event_counter:* +@all"
    return ""


def _of_tls(exc: BaseException, name: str, setting: str) -> str:
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"The certificate behind {name} is not trusted ({cause.verify_message}): name "
                f"its authority with {setting}, and the server as its certificate does"
            )
    return ""


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
