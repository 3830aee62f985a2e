"""All settings, read once from the environment into one frozen object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from app.addresses import CHECKS, origins_of
from app.allowed import fault, unknown
from app.errors import SettingsError

PREFIX = "EVENT_COUNTER_"
Role = Literal["", "collect", "count", "store", "archive"]
KafkaSecurity = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
KafkaSasl = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class Settings(BaseModel):
    """Every field is the environment variable EVENT_COUNTER_<FIELD IN CAPITALS>."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    http_host: str = Field("127.0.0.1", description="Address that the collector serves HTTP on.")
    http_port: int = Field(8000, ge=1, le=65535, description="Port of the collector.")
    hosts: str = Field(
        "",
        description="Host names that may ask for figures, comma-separated, besides loopback "
        "names and IP addresses; *: any.",
    )
    origins: str = Field(
        "",
        description="Origins of web pages that may send events, comma-separated, such as "
        "https://shop.example; *: any; empty: no CORS.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of proxies, comma-separated, whose X-Forwarded-For "
        "or Forwarded is trusted.",
    )
    base_path: str = Field(
        "",
        pattern=r"^(/[\w.~-]+)*$",
        description="Path prefix of a proxy, such as /counter, under which everything is served, "
        "too.",
    )
    client_ip: Literal["none", "anonymous", "full"] = Field(
        "none",
        description="ip of events without one: none, the sender's network (/24, /48), "
        "or its full address.",
    )
    url_rules: str = Field(
        "", description="TOML file with rules that clean up urls; empty: urls as sent."
    )
    data_dir: Path = Field(Path(".data"), description="Folder for all state on this machine.")
    kafka: str = Field("", description="host:port[,host:port]; empty: run starts a local Kafka.")
    kafka_security: KafkaSecurity = Field(
        "PLAINTEXT",
        description="How to connect to Kafka: SSL encrypts, SASL authenticates.",
    )
    kafka_sasl: KafkaSasl = Field(
        "SCRAM-SHA-512", description="SASL mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."
    )
    kafka_user: str = Field("", description="SASL user.")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password.")
    kafka_ca: str = Field(
        "", description="PEM file of CA certificates for Kafka; empty: those of the system."
    )
    kafka_cert: str = Field(
        "", description="PEM file of the client certificate for Kafka; empty: none."
    )
    kafka_key: str = Field(
        "", description="PEM file of the client key; empty: in the certificate's file."
    )
    postgres: SecretStr = Field(SecretStr(""), description="DSN; empty: run starts a local one.")
    redis: SecretStr = Field(SecretStr(""), description="URL; empty: run starts a local one.")
    token: SecretStr = Field(
        SecretStr(""), description="X-Token of POST /track; empty: run uses secret_token."
    )
    role: Role = Field("", description="Role of this worker: collect, count, store or archive.")
    namespace: str = Field(
        "",
        pattern=r"^[a-zA-Z0-9._-]{0,60}$",
        description="Prefix of topics and groups, so that several counters can share a cluster.",
    )

    worker_name: str = Field(
        "",
        pattern=r"^[a-zA-Z0-9._-]{0,60}$",
        description="Fixed name of this worker, so that it keeps its partitions when it restarts.",
    )
    worker_host: str = Field(
        "127.0.0.1",
        description="Address of a count, store or archive worker, reachable by all workers.",
    )
    worker_port: int = Field(
        6067, ge=1, le=65535, description="Port of a count, store or archive worker."
    )
    count_urls: str = Field(
        "http://127.0.0.1:6067",
        description="URLs of the count workers that the collector queries, comma-separated.",
    )
    worker_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret shared by collectors and count workers; empty: none; run makes one.",
    )
    count_workers: int = Field(
        0, ge=0, le=64, description="Count workers that run starts; 0: one for each two cores."
    )
    events_partitions: int = Field(
        4, ge=1, le=1000, description="Partitions of events; later, event-counter grow adds some."
    )
    counts_partitions: int = Field(
        4, ge=1, le=1000, description="Partitions of counts; fixed after the first start."
    )
    replication: int = Field(1, ge=1, le=9, description="Replicas of new topics.")
    events_retention_hours: int = Field(
        168, ge=1, description="Hours that Kafka keeps events and rejected events."
    )
    hourly_retention_days: int = Field(
        0, ge=0, description="Days to keep hourly counts; fixed at the first start; 0: for good."
    )
    raw_retention_days: int = Field(
        0,
        ge=0,
        description="Days to keep rows of event and the archive, in whole months; 0: for good.",
    )
    statistics: bool = Field(
        default=True,
        description="Also count pages, users, sessions, ads and bots; switching it on later "
        "needs rebuild tables; stays on.",
    )
    most_types: int = Field(
        10_000,
        ge=1,
        le=100_000,
        description="Event types that are counted by name, further ones as __other__; fixed at "
        "the first start.",
    )
    bot_limit: int = Field(
        10,
        ge=1,
        le=1000,
        description="Page views of a user with the same timestamp that count; changing it "
        "needs rebuild tables.",
    )
    dedupe_hours: int = Field(
        24,
        ge=0,
        le=720,
        description="Hours in which an event with the same message_id is a duplicate; fixed at "
        "the first start; 0: never.",
    )
    dedupe_uuid: bool = Field(
        default=False,
        description="Use the uuid as the message_id of events that have none; fixed at the "
        "first start.",
    )
    counters: str = Field(
        "", description="TOML file with your own counters; the same on all machines."
    )
    alert_rules: str = Field(
        "", description="TOML file with alert rules; empty: the two default rules."
    )
    webhook_url: SecretStr = Field(
        SecretStr(""), description="http(s) URL that alerts are posted to; empty: none."
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="Key that signs webhook requests; empty: unsigned."
    )
    session_timeout_s: float = Field(
        6.0, ge=6, description="Seconds without a heartbeat until partitions move."
    )
    stale_max_s: float = Field(
        3600.0, ge=0, description="Maximum age in seconds of figures while Kafka is away; then 503."
    )
    commit_interval_s: float = Field(
        1.0, gt=0, description="Seconds between offset commits; longer, more replay after a crash."
    )
    flush_interval_s: float = Field(
        0.1, gt=0, description="Seconds from an event to its totals when there is no backlog."
    )
    batch_pause_s: float = Field(
        0.02, ge=0, description="Seconds before a small fetch; longer saves CPU but adds delay."
    )
    totals_interval_s: float = Field(
        1.0, gt=0, description="Minimum seconds between messages on unique-event-topic."
    )
    summary_interval_s: float = Field(
        10.0, gt=0, le=300, description="Seconds between refreshes of event_summary and ad_month."
    )
    redis_interval_s: float = Field(0.5, gt=0, description="Seconds between writes to Redis.")
    archive_dir: str = Field(
        "", description="Folder for archive/ and enriched/; empty: the data directory."
    )
    archive_interval_s: float = Field(
        60.0, gt=0, le=240, description="Seconds between new files in the archive."
    )
    enrich_interval_s: float = Field(
        10_800.0, gt=0, description="Seconds between automatic runs of enrich by role archive."
    )
    duckdb_memory_mb: int = Field(
        512, ge=256, description="Memory in MB for enrich and query; beyond it, they use disk."
    )
    send_timeout_s: float = Field(
        3.0, gt=0, description="Seconds to wait for Kafka before answering 503."
    )
    waiting_max_bytes: int = Field(
        67_108_864, ge=1_048_576, description="Maximum bytes of events waiting for Kafka; then 429."
    )
    body_max_bytes: int = Field(
        16_777_216, ge=65_536, description="Maximum bytes of a request body, also decompressed."
    )
    read_token: SecretStr = Field(
        SecretStr(""), description="Bearer token to read figures from the collector; empty: none."
    )
    write_keys: SecretStr = Field(
        SecretStr(""), description="Who may send events, as key=app,…; empty: everybody."
    )
    watched_workers: str = Field(
        "", description="Workers on the dashboard, as name=URL,…; empty: the count workers."
    )

    @field_validator(*CHECKS)
    @classmethod
    def _checked(cls, value: str | SecretStr, info: ValidationInfo) -> str | SecretStr:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        CHECKS[str(info.field_name)](text)
        return value

    @field_validator("origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        return origins_of(text)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read EVENT_COUNTER_*; raise SettingsError naming all wrong or unknown."""
        given = {k.removeprefix(PREFIX).lower(): v for k, v in env.items() if k.startswith(PREFIX)}
        try:
            return cls.model_validate(given)
        except ValidationError as exc:
            raise SettingsError("; ".join(cls._faults(exc, given))) from exc

    @classmethod
    def _faults(cls, exc: ValidationError, given: Mapping[str, str]) -> Iterator[str]:
        """Yield a line per variable; never the value of a secret."""
        fields = cls.model_fields
        for error in exc.errors():
            field_name = str(error["loc"][0])
            name = variable(field_name)
            if field := fields.get(field_name):
                # user:password@host, where no address should have it
                secret = field.annotation is SecretStr or "@" in given[field_name]
                yield fault(name, given[field_name], field, error, secret=secret)
            else:
                yield unknown(name, map(variable, fields))

    def to_env(self) -> dict[str, str]:
        """Return the variables that make another process read these settings."""
        env = {}
        for name, value in self:
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            env[variable(name)] = text
        return env


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + name.upper()
