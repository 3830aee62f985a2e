"""Where a worker listens."""

from __future__ import annotations

import pytest

from app.factory import create_app
from app.settings import Settings


@pytest.mark.parametrize(
    ("role", "field", "url"),
    [
        ("count", "worker_host", "http://[::1]:6067"),
        ("collect", "http_host", "http://[::1]:8000"),
    ],
)
def test_a_worker_may_listen_on_an_ipv6_address(role: str, field: str, url: str) -> None:
    settings = Settings.model_validate({"role": role, "kafka": "127.0.0.1:1", field: "::1"})
    assert str(create_app(settings).conf.canonical_url) == url
