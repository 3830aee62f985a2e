"""Records as events: which of them have a name that makes the next one a duplicate."""

from __future__ import annotations

import pytest

from app.events.batches import decode_batch
from tests.support.batches import batch_of

BODIES = [
    b'{"type":"A","uuid":""}',
    b'{"type":"A","uuid":"","message_id":""}',
    b'{"type":"A"}',
    b'{"type":"A","uuid":"u","message_id":""}',
    b'{"type":"A","uuid":"","message_id":"m"}',
    b'{"type":"A","uuid":"u","messageId":"m"}',
]


@pytest.mark.parametrize(
    ("by_uuid", "ids", "offsets"), [(False, ["m", "m"], [4, 5]), (True, ["u", "m", "m"], [3, 4, 5])]
)
def test_an_empty_text_names_no_event(by_uuid: bool, ids: list[str], offsets: list[int]) -> None:
    named = decode_batch(batch_of(BODIES), by_uuid=by_uuid).named
    assert (list(named.ids), list(named.offsets)) == (ids, offsets)
