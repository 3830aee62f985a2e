"""A consumer that knows what is committed, which Faust's does not: it notes what it tried to."""

from __future__ import annotations

from typing import Any

from faust.transport.drivers import aiokafka as driver


class CommittedConsumer(driver.Consumer):
    """Base of the batch consumer; gate: the generation, started_at: where its seek went.

    _fetching: the generation of what is fetched, and handed over message by message then.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.gate = self._fetching = 0
        self.started_at: dict[Any, int] = {}
        self._committed_to: dict[Any, tuple[int, int]] = {}
        self._chosen_in = 0
        super().__init__(*args, **kwargs)

    def _to_message(self, tp: Any, record: Any) -> Any:
        """As Faust's, with the gate: members may join again without a new generation of Kafka's."""
        message: Any = super()._to_message(tp, record)
        message.gate = self._fetching
        return message

    def _filter_committable_offsets(self, tps: Any) -> Any:
        self._chosen_in = self.gate
        return super()._filter_committable_offsets(tps)

    async def _commit_offsets(self, offsets: Any, start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002
        if self._chosen_in != self.gate:  # tables have forgotten what it would have to wait for
            return False
        return bool(await super()._commit_offsets(offsets, start_new_transaction))

    async def _commit(self, offsets: Any) -> bool:
        gate = self.gate
        committed = await super()._commit(offsets)
        # In another generation a partition may be gone, and was left out without a word.
        if committed and gate == self.gate:
            self._committed_to.update({tp: (gate, offset) for tp, offset in offsets.items()})
        return bool(committed)

    def committed_to(self, tp: Any) -> int:
        """Return a position of a partition that is read: nothing below it is delivered again."""
        gate, offset = self._committed_to.get(tp, (0, 0))
        return offset if gate == self.gate else int(self.started_at.get(tp, 0))
