"""A bad address stops every command with one line that names it, before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.addresses import redis_options
from app.errors import SettingsError
from app.settings import Settings, variable
from app.stores.connect import redis_client
from tests.support.running_copy import command_line

SECRET = "hunter2"
PORTS = "a port is a number from 1 to 65,535"


def complaint(name: str, value: str) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable(name): value})
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "part", "says"),
    [
        ("kafka", "localhost:notaport", "localhost:notaport", "host:port"),
        ("kafka", "localhost:", "localhost:", "host:port"),
        ("kafka", "localhost:0", "localhost:0", "host:port"),
        ("kafka", "localhost:99999", "localhost:99999", PORTS),
        ("kafka", "localhost:\uff19\uff10", "localhost:\uff19\uff10", PORTS),
        ("kafka", f"localhost:{'1' * 5000}", f"localhost:{'1' * 50}…", PORTS),
        ("kafka", "a:1,b:x,c:2", "b:x", "host:port"),
        ("kafka", "a:1;b:2", "a:1;b:2", "host:port"),
        ("kafka", ":9092", ":9092", "host:port"),
        ("kafka", "::1", "::1", "[::1]:9092"),
        ("kafka", "[::1]9092", "[::1]9092", "[::1]:9092"),
        ("kafka", "[kafka]:9092", "[kafka]:9092", "[::1]:9092"),
        ("count_urls", "http://a:1,http://b:x", "http://b:x", PORTS),
        ("count_urls", "count-1:6067", "count-1:6067", "http://"),
        ("count_urls", "http://", "http://", "http://"),
        ("count_urls", "http://[::1:6067", "http://[::1:6067", PORTS),
        ("watched_workers", "store=http://a:x", "http://a:x", PORTS),
        ("watched_workers", "http://a:1", "http://a:1", "name=URL"),
        ("http_host", "localhost:8000", "localhost:8000", "a host name"),
        ("http_host", "http://localhost", "http://localhost", "a host name"),
        ("http_host", "[::1]", "[::1]", "a host name"),
        ("http_host", "", "", "a host name"),
        ("worker_host", "10.0.0.11:6067", "10.0.0.11:6067", "a host name"),
        ("hosts", "a.example,https://b.example", "https://b.example", "a host name"),
        ("hosts", "*.example.net", "*.example.net", "wildcard"),
        ("hosts", ".example.net", ".example.net", "a host name"),
        ("hosts", "bücher.example", "bücher.example", "a host name"),
        ("origins", "https://*.example", "https://*.example", "wildcard"),
        ("origins", "https://a.example,shop.example", "shop.example", "scheme://host[:port]"),
        ("origins", "https://a.example/x", "https://a.example/x", "path"),
        ("origins", "https://a.example:x", "https://a.example:x", "scheme://host[:port]"),
        ("origins", "https://bücher.example", "https://bücher.example", "https://shop.example"),
        ("origins", "https://", "https:", "scheme://host[:port]"),
    ],
)
def test_the_part_that_is_wrong_is_named(name: str, value: str, part: str, says: str) -> None:
    told = complaint(name, value)
    assert told.startswith(f"{variable(name)}: {part!r} is not ")
    assert says in told


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("postgres", f"postgresql://u:{SECRET}@h:bad/db", PORTS),
        ("postgres", f"postgresql://u:{SECRET}@h:99999/db", PORTS),
        ("postgres", f"postgresql://u:{SECRET}@h:0/db", PORTS),
        ("postgres", f"postgresql://u:{SECRET}@a:1,b:bad/db", PORTS),
        ("postgres", f"postgresql://u:{SECRET}@a:1,,b:2/db", "a host is missing"),
        ("postgres", f"postgresql://u:{SECRET}@:5432/db", "a host is missing"),
        ("postgres", f"postgresql://u:{SECRET}@h/db?port=bad", PORTS),
        ("postgres", f"postgresql://u:{SECRET}@/db?host=h:bad", PORTS),
        ("postgres", f"postgresql://u:{SECRET}@h/db?sslmode", "name=value"),
        ("postgres", f"postgresql://u:{SECRET}@h/db?sslmode=on", "verify-full"),
        ("postgres", f"postgresql://u:[{SECRET}@h/db", "%XX"),
        ("postgres", f"postgresql://u:/{SECRET}@h/db", "%2F"),
        ("postgres", f"postgresql://u:1/{SECRET}@h/db", "%2F"),
        ("postgres", f"postgresql://u:#{SECRET}@h/db", "%XX"),
        ("postgres", f"postgresql://u:@{SECRET}@h/db", "%40"),
        ("postgres", f"{SECRET}@h:5432", "begins with postgresql:// or postgres://"),
        ("postgres", f"mysql://u:{SECRET}@h/db", "begins with postgresql:// or postgres://"),
        ("redis", f"redis://:{SECRET}@h:bad/0", PORTS),
        ("redis", f"redis://:{SECRET}@h:99999/0", PORTS),
        ("redis", f"redis://:{SECRET}@h:0/0", PORTS),
        ("redis", f"redis://:[{SECRET}@h/0", "%XX"),
        ("redis", f"redis://:1/{SECRET}@h/0", "%2F"),
        ("redis", f"redis://:{SECRET}/2@h/0", "%2F"),
        ("redis", f"http://:{SECRET}@h/", "begins with redis:// or rediss:// or unix://"),
        ("redis", f"redis://:{SECRET}@h/0?foo=1", "'foo' is not one of its options: db, "),
        ("redis", f"redis://:{SECRET}@h/0?db=1&Foo", "'Foo' is not one of its options: db, "),
        ("redis", f"redis://:{SECRET}@h/0?decode_responses=true", "'decode_responses' is not"),
        ("redis", f"redis://:{SECRET}@h/?ssl_cert_reqs=none", "begins with rediss://"),
        ("redis", "unix:///redis.sock?socket_keepalive=1", "'socket_keepalive' is not"),
        ("redis", f"redis://u:1?{SECRET}=@h/0", "%XX"),
        ("webhook_url", f"https://u:{SECRET}@h:bad/", PORTS),
        ("webhook_url", f"https://u:{SECRET}@", "the host is missing"),
        ("webhook_url", f"https://[{SECRET}", PORTS),
        ("webhook_secret", f"whsec_{SECRET}ab", "in base64"),
        ("webhook_secret", f"whsec_{SECRET}é", "in base64"),
        ("webhook_secret", "whsec_", "in base64"),
        ("count_urls", f"http://u:{SECRET}@h:bad", PORTS),
        ("hosts", f"u:{SECRET}@h", "a host name"),
        ("origins", f"https://u:{SECRET}@h", "an origin"),
    ],
)
def test_what_is_wrong_is_told_without_the_password(name: str, value: str, says: str) -> None:
    told = complaint(name, value)
    assert told.startswith(f"{variable(name)}: the given value (not shown) cannot be used: ")
    assert says in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kafka", "kafka"),
        ("kafka", "kafka-1:9092,[::1]:9092,[fe80::1%eth0],192.0.2.1:9092"),
        ("kafka", "localhost:09092"),
        ("postgres", "postgresql://"),
        ("postgres", "postgresql:///db?host=/run/postgresql"),
        ("postgres", "postgresql://u%40d:p%2Fw@h/db?sslmode=verify-full&sslrootcert=/ca.pem"),
        ("postgres", "postgres://u:p@a:1,[::1]:2,c:,d/db"),
        ("postgres", "postgresql://u:p@%2Frun%2Fpostgresql/db"),
        ("postgres", "postgresql://h/db?user=u@d&port=1,2"),
        ("redis", "redis://"),
        ("redis", "redis://:6379/0"),
        ("redis", "rediss://:p@ss@h:1/0?ssl_ca_certs=/ca.pem"),
        ("redis", "unix:///tmp/redis@1.sock?db=1"),
        ("redis", "redis://h/0?db=1&socket_keepalive=1&max_connections="),
        ("webhook_url", "https://h:8443/hooks/@me?key=1"),
        ("webhook_secret", ""),
        ("webhook_secret", "clé"),
        ("webhook_secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("webhook_secret", "whsec_c2VjcmV0IQ"),
        ("webhook_secret", "whsec_c2VjcmV0IQ=="),
        ("count_urls", ""),
        ("count_urls", "http://h,https://[::1]:6067/counter/"),
        ("watched_workers", "count-1=http://a:1, store=http://b:2"),
        ("http_host", "::"),
        ("http_host", "fe80::1%eth0"),
        ("worker_host", "count_1.example.net"),
        ("hosts", "*"),
        ("hosts", "counter.example.net:8000, ::1, [::1]:8000"),
        ("origins", "*"),
        ("origins", "https://[::1]:8443,chrome-extension://abc,http://localhost:3000"),
    ],
)
def test_what_worked_still_does(name: str, value: str) -> None:
    assert Settings.from_env({variable(name): value}).to_env()[variable(name)] == value


def test_an_origin_is_kept_as_browsers_send_it() -> None:
    given = "HTTPS://Shop.example/, https://a.example:443,http://b.example:80,http://c.example:443"
    kept = Settings.from_env({variable("origins"): given}).origins
    assert kept == "https://shop.example,https://a.example,http://b.example,http://c.example:443"


@pytest.mark.parametrize(
    "command",
    [("run",), ("worker", "--role", "count"), ("topics",), ("status",), ("import", __file__)],
)
def test_every_command_stops_before_anything_is_made(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    done = command_line(*command, kafka="localhost:notaport", data_dir=folder)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "event-counter: EVENT_COUNTER_KAFKA: 'localhost:notaport' is not host:port"
    )
    assert done.stderr.count("\n") == 1
    assert not folder.exists()


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_the_options_of_redis_are_those_that_its_client_takes(scheme: str) -> None:
    flags = dict.fromkeys(
        ("ssl_include_verify_flags", "ssl_exclude_verify_flags"), "[VERIFY_X509_STRICT]"
    )
    values = flags | {"ssl_min_version": "771", "ssl_cert_reqs": "none", "encoding": "utf-8"}
    for option in redis_options(scheme):
        url = f"{scheme}://h/0?{option}={values.get(option, '2')}"
        assert Settings.from_env({variable("redis"): url})
        pool: Any = redis_client(url, 1).connection_pool
        assert pool.make_connection(), option
