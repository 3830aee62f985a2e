"""What it takes to be let in by Kafka: encryption, certificates, user and password."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache
from typing import Any

from app.errors import SettingsError, reason
from app.settings import Settings, variable

PLAINTEXT = "PLAINTEXT"


class _Leaving(ssl.SSLObject):
    """Says farewell and leaves, as TLS allows, whatever the other side is still sending.

    Else the event loop waits up to 30 s for a broker's farewell, in vain where an answer that
    nobody reads any more stands before it: a worker hung in its start, or was killed at its end.
    All that a client of ours sends is answered before it leaves, so nothing is cut off.
    """

    def unwrap(self) -> None:
        """Send close_notify; do not wait for theirs."""
        with suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
            super().unwrap()


def security_of(settings: Settings) -> dict[str, Any]:
    """Return the arguments of an aiokafka client that say how it shows itself.

    Raises SettingsError where settings contradict each other, or a certificate cannot be used.
    """
    protocol = settings.kafka_security
    encrypted, asked = protocol.endswith("SSL"), protocol.startswith("SASL")
    for name in ("kafka_ca", "kafka_cert", "kafka_key"):
        if getattr(settings, name) and not encrypted:
            raise SettingsError(_useless(name, protocol, "SSL or SASL_SSL"))
    password = settings.kafka_password.get_secret_value()
    for name, value in (("kafka_user", settings.kafka_user), ("kafka_password", password)):
        if value and not asked:
            raise SettingsError(_useless(name, protocol, "SASL_SSL"))
        if asked and not value:
            raise SettingsError(f"{variable(name)} is empty, and {protocol} needs it")
    found: dict[str, Any] = {"security_protocol": protocol}
    if encrypted:
        found["ssl_context"] = _context(
            settings.kafka_ca, settings.kafka_cert, settings.kafka_key or settings.kafka_cert
        )
    if asked:
        found["sasl_mechanism"] = settings.kafka_sasl
        found["sasl_plain_username"] = settings.kafka_user
        found["sasl_plain_password"] = password
    return found


def _useless(name: str, protocol: str, other: str) -> str:
    return f"{variable(name)} is given, but {variable('kafka_security')} is {protocol}: set {other}"


@cache
def _context(ca: str, cert: str, key: str) -> ssl.SSLContext:
    """Return whom to trust, and what to show; ca empty: whom the machine trusts."""
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except OSError as exc:  # ssl.SSLError is one
        raise _unreadable("kafka_ca", ca, "certificates", exc) from exc
    context.sslobject_class = _Leaving
    if cert:
        try:
            # A password would be asked for on the terminal.
            context.load_cert_chain(cert, key, password=lambda: "")
        except OSError as exc:
            raise _unreadable("kafka_cert", cert, "a certificate and its key", exc) from exc
    elif key:
        raise SettingsError(f"{variable('kafka_key')} is given without {variable('kafka_cert')}")
    return context


def _unreadable(name: str, path: str, what: str, exc: OSError) -> SettingsError:
    return SettingsError(
        f"{variable(name)}: {path} cannot be read: {reason(exc)}. Give a PEM file with {what}, "
        "not encrypted"
    )
