"""Values of the table `partials` and of the topic `counts`."""

from __future__ import annotations

import msgspec

from app.counting.carried import FINE
from tables.partial_values import CARRIES, Partial, decode_partial, encode_partial


def test_an_older_version_reads_the_windows_of_a_row_that_carries_seconds() -> None:
    value = encode_partial(Partial(7, {3: 2, FINE + 9: 2}, CARRIES))
    assert msgspec.msgpack.decode(value, strict=False)[:2] == [7, {3: 2}]
    assert decode_partial(value) == Partial(7, {3: 2, FINE + 9: 2}, CARRIES)
