"""What cannot be written while there is no Kafka leaves nothing open."""

from __future__ import annotations

import gc
import warnings

import pytest
from aiokafka.errors import KafkaError

from app.counting.registry import Begin
from app.errors import KafkaUnavailableError
from app.kafka.clients import KafkaClients
from app.kafka.counter_log import CounterLog
from app.kafka.padding import pad
from app.settings import Settings
from app.stack.ports import free_port


async def test_a_producer_that_did_not_start_is_closed() -> None:
    decisions = CounterLog(Settings(kafka=f"127.0.0.1:{free_port()}"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(KafkaUnavailableError, match="no answer about counter-decisions"):
            await decisions.append([Begin(1, 0, 0)])
        with pytest.raises(KafkaUnavailableError):
            await decisions.read()
        gc.collect()
    assert [one for one in said if "Unclosed" in str(one.message)] == []
    await decisions.close()


async def test_a_pad_that_did_not_start_leaves_no_producer() -> None:
    kafka = KafkaClients(f"127.0.0.1:{free_port()}")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(KafkaError):
            await pad(kafka, "events", 0, 1, (None, b"x"))
        gc.collect()
    assert [one for one in said if "Unclosed" in str(one.message)] == []
