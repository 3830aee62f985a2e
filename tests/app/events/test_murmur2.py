"""Kafka's partitioner, against another implementation and Kafka's own test vectors."""

from __future__ import annotations

import random

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference

from app.events import murmur2 as module
from app.events.murmur2 import KEPT_MAX_BYTES, murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "signed"),  # from UtilsTest.testMurmur2 of Apache Kafka
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hashes_are_those_of_kafkas_own_tests(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


def test_keys_of_every_length_land_where_any_producer_puts_them() -> None:
    rng = random.Random(1)
    for length in [*range(70), 300, 1000]:
        for _ in range(30):
            key = rng.randbytes(length)
            assert murmur2(key) == reference(key)
            for count in (1, 4, 7, 1000):
                expected = DefaultPartitioner()(key, list(range(count)), [])
                assert partition_of(key, count) == expected


def test_long_keys_are_not_kept_in_memory() -> None:
    long, short = b"x" * (KEPT_MAX_BYTES + 1), b"x" * KEPT_MAX_BYTES
    before = module.kept_partition_of.cache_info()
    assert partition_of(long, 1000) == DefaultPartitioner()(long, list(range(1000)), [])
    assert module.kept_partition_of.cache_info() == before
    partition_of(short, 999_983)
    assert module.kept_partition_of.cache_info().misses == before.misses + 1
