"""What a group has committed is kept with the rows: Kafka may forget it."""

from __future__ import annotations

from collections.abc import Callable

from tables.partials import Partials


async def test_a_flush_keeps_what_was_committed_before_it(
    make_partials: Callable[..., Partials],
) -> None:
    partials, committed = make_partials(), 0
    partials.committed = lambda _: committed
    for begin, kept in ((0, 0), (6, 6), (12, 6)):
        partials.lose(0, begin, begin + 6)
        partials.absorbed(0, begin + 6, lambda: None)
        committed = kept
        await partials.flush()
        assert partials.once_committed(0) == kept
        partials.forget()
        assert partials.once_committed(0) == kept
        committed = 0
