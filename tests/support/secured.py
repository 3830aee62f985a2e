"""Kafka, Postgres and Redis that let nobody in without TLS and a password, as others run them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.stack.child import Child
from app.stack.ports import LOOPBACK, accepts, free_port
from app.stack.postgres import LocalPostgres
from app.stack.secrets_file import password_in
from tests.support.brokers import Broker

USER, PASSWORD = "counter", "kafka-secret-7f3a"
GUEST, GUEST_PASSWORD = "guest", "guest-secret-91bc"
CLIENT = "counter.example.net"
CLIENT_NAME = f"CN={CLIENT},OU=client,O=tests"  # as Kafka reads it from the certificate
POSTGRES_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
READY_S = 60
TOPIC, GROUP, PREFIXED = 2, 3, 4  # of Kafka's ResourceType and PatternType
ALL, WRITE = 2, 4  # of AclOperation
DENY, ALLOW = 2, 3


class Authority:
    """An authority and the certificates that it signed, as PEM files in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self._ca = folder, trustme.CA()
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca)
        self.server = self._issue("server", "localhost", LOOPBACK)
        self.client = self._issue("client", CLIENT)

    def _issue(self, name: str, *identities: str) -> Path:
        """Return a file with a key, as Java and OpenSSL read it, and its certificates."""
        issued = self._ca.issue_cert(
            *identities,
            common_name=identities[0],
            organization_name="tests",
            organization_unit_name=name,
        )
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        text += b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        file = self._folder / f"{name}.pem"
        file.touch(0o600)
        file.write_bytes(text)
        return file


class SecuredKafka:
    """A broker with SASL_SSL and SCRAM, with mutual TLS, and plain for the test itself."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        sasl, mutual = free_port(), free_port()
        self.sasl, self.mutual = f"localhost:{sasl}", f"localhost:{mutual}"
        scram = [f"name={USER},password={PASSWORD}", f"name={GUEST},password={GUEST_PASSWORD}"]
        options = [f"--add-scram=SCRAM-SHA-512=[{user}]" for user in scram]
        self.broker = Broker(folder, {}, format_options=options)
        self.plain = self.broker.address
        addresses = f"SASL_SSL://localhost:{sasl},SSL://localhost:{mutual}"
        controller = f"CONTROLLER://{LOOPBACK}:{self.broker.controller_port}"
        self.broker.config |= {
            "listeners": f"PLAINTEXT://{self.plain},{controller},{addresses}",
            "advertised.listeners": f"PLAINTEXT://{self.plain},{addresses}",
            "listener.security.protocol.map": (
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
            ),
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(authority.server),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.ca),
            "listener.name.ssl.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:ANONYMOUS;User:{USER};User:{CLIENT_NAME}",
        }


class SecuredPostgres:
    """Debian's Postgres with a certificate; the one from pip speaks no TLS."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        if not POSTGRES_BINARIES:
            pytest.skip("needs Debian's postgresql; make servers")
        self._folder, self._authority = folder, authority
        self.part = LocalPostgres(folder, folder / "postgres.log")
        self.part.binaries = _older(folder / "bin", POSTGRES_BINARIES[-1])

    async def start(self) -> str:
        """Return its DSN, which insists on the certificate."""
        data = self._folder / "data"
        self._folder.mkdir(parents=True, exist_ok=True)
        password_in(self._folder)
        await self.part.init(data)
        key = data / "server.pem"
        shutil.copy(self._authority.server, key)
        shutil.copystat(data / "PG_VERSION", key)
        key.chmod(0o600)
        owner = data.stat()
        shutil.chown(key, owner.st_uid, owner.st_gid)
        with (data / "postgresql.conf").open("a") as config:
            config.write("ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.pem'\n")
        address = (await self.part.start()).replace(LOOPBACK, "localhost")
        return f"{address}?sslmode=verify-full&sslrootcert={self._authority.ca}"


def _older(folder: Path, binaries: Path) -> Path:
    """Return a folder of binaries whose initdb leaves out what only newer ones know."""
    folder.mkdir(parents=True)
    (folder / "postgres").symlink_to(binaries / "postgres")
    script = folder / "initdb"
    script.write_text(
        "#!/bin/sh\nfor given; do shift; case $given in --locale-provider=*|--builtin-locale=*) ;;"
        f' *) set -- "$@" "$given" ;; esac; done\nexec {binaries}/initdb "$@" --locale=C.UTF-8\n',
        "utf-8",
    )
    script.chmod(0o755)
    return folder


class SecuredRedis:
    """Debian's Redis with TLS alone."""

    password = "redis-secret-52de"

    def __init__(self, folder: Path, authority: Authority) -> None:
        if not (program := shutil.which("redis-server")):
            pytest.skip("needs Debian's redis-server; make servers")
        self._program, self._folder, self._authority = program, folder, authority
        self.port = free_port()
        self.child = Child("redis", folder, folder / "redis.log")

    async def start(self) -> str:
        """Return its URL."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = {
            "bind": LOOPBACK,
            "port": "0",
            "tls-port": str(self.port),
            "tls-cert-file": self._authority.server,
            "tls-key-file": self._authority.server,
            "tls-ca-cert-file": self._authority.ca,
            "tls-auth-clients": "no",
            "requirepass": self.password,
            "dir": self._folder,
            "save": '""',
        }
        file = self._folder / "redis.conf"
        file.write_text("".join(f"{name} {value}\n" for name, value in config.items()), "utf-8")
        self.child.spawn([self._program, file])
        await self.child.ready(lambda: accepts(self.port), READY_S)
        ca = self._authority.ca
        return f"rediss://:{self.password}@localhost:{self.port}/0?ssl_ca_certs={ca}"


async def grant(admin: AIOKafkaAdminClient, *rules: tuple[int, str, int, int, int]) -> None:
    """Add rules for the guest: (resource type, name, pattern type, operation, permission)."""
    user = f"User:{GUEST}"
    rows = [(kind, name, pattern, user, "*", what, how) for kind, name, pattern, what, how in rules]
    answer = await admin._send_request(_CreateAcls(rows), admin._client.cluster.controller.nodeId)
    assert [code for code, _ in answer.results] == [0] * len(rules), answer


class _Answer(Response):
    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(("error_code", Int16), ("error_message", String("utf-8")))),
    )


class _Question(RequestStruct):
    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("pattern_type", Int8),
                ("principal", String("utf-8")),
                ("host", String("utf-8")),
                ("operation", Int8),
                ("permission", Int8),
            ),
        )
    )


class _CreateAcls(Request[_Question]):
    API_KEY = 30

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class(self._rows)
