"""Why Kafka does not let us in, in words that name the setting or the grant that is wrong."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from aiokafka import errors

CA, SECURITY = "EVENT_COUNTER_KAFKA_CA", "EVENT_COUNTER_KAFKA_SECURITY"
USER, PASSWORD = "EVENT_COUNTER_KAFKA_USER", "EVENT_COUNTER_KAFKA_PASSWORD"
SASL, CERT = "EVENT_COUNTER_KAFKA_SASL", "EVENT_COUNTER_KAFKA_CERT"


def refusal(exc: Exception, security: Mapping[str, Any]) -> str:
    """Return why a server refused a connection; empty where it may be away or starting.

    security: the arguments of the client, see app.kafka.security.
    """
    if tls := next((cause for cause in _causes(exc) if isinstance(cause, ssl.SSLError)), None):
        return _tls(tls)
    if isinstance(exc, errors.UnsupportedSaslMechanismError):
        return f"does not take {security.get('sasl_mechanism')}: set {SASL} to what it takes"
    if isinstance(exc, (errors.AuthenticationFailedError, errors.SaslAuthenticationFailed)):
        user = security.get("sasl_plain_username")
        return f"refuses the user {user}: check {USER} and {PASSWORD}"
    if isinstance(exc, errors.IllegalSaslStateError):
        return f"asks for no user here: check the port, and {SECURITY}"
    return ""


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _tls(exc: ssl.SSLError) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return (
            f"shows a certificate that is not trusted ({exc.verify_message}). Give {CA} the "
            "certificate of its authority, and EVENT_COUNTER_KAFKA the name in its certificate"
        )
    if "CERTIFICATE_REQUIRED" in str(exc) or "HANDSHAKE_FAILURE" in str(exc):
        return f"wants a certificate that it trusts: set {CERT}"
    return f"does not speak TLS here ({exc.reason}): check the port, and {SECURITY}"
