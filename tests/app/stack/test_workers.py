"""How many count workers a machine gets."""

from __future__ import annotations

import pytest

from app.settings import Settings
from app.stack.workers import count_worker_names, reached_at


@pytest.mark.parametrize(
    ("cores", "partitions", "expected"), [(1, 4, 1), (2, 4, 1), (4, 4, 2), (16, 4, 4), (16, 12, 8)]
)
def test_half_of_the_cores_count_as_partitions_allow(
    cores: int, partitions: int, expected: int
) -> None:
    names = count_worker_names(Settings(events_partitions=partitions), cores)
    assert names == [f"count-{number + 1}" for number in range(expected)]


def test_a_number_that_is_set_is_kept() -> None:
    settings = Settings(count_workers=3, events_partitions=1)
    assert count_worker_names(settings, cores=2) == ["count-1", "count-2", "count-3"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("count-1.example.net", "http://count-1.example.net:8000"),
    ],
)
def test_a_server_is_reached_at_a_url(host: str, url: str) -> None:
    assert reached_at(host, 8000) == url
