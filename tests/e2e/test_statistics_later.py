"""Statistics switched on later: refused at the start until `rebuild tables` has counted by them.

With them comes a counter that needs them. No count worker can let it begin before that.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.counting.spec import FIRST_DECLARED
from app.kafka.counter_log import decided
from app.stack.workers import WorkerProcess
from tests.conftest import MakeSettings, StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import command_line
from tests.support.stores import Stores
from tests.support.waiting import wait_until

VIEWS, COUNTED = 14, 10  # of a bot; EVENT_COUNTER_BOT_LIMIT
VISITORS = """
[[counter]]
name = "visitors"
measure = "distinct:user_id"
window = "1h"
"""


async def test_they_are_refused_until_tables_are_rebuilt(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker, tmp_path: Path
) -> None:
    stores = await Stores.start(make_settings, kafka, start_worker, statistics=False)
    await stores.send_bots("u1", VIEWS)
    assert await stores.differences() == []
    for worker in stores.workers:
        await worker.stop()
    (tmp_path / "counters.toml").write_text(VISITORS)
    later = {"statistics": True, "counters": str(tmp_path / "counters.toml")}
    stores.settings = stores.settings.model_copy(update=later)
    await start_worker(stores.settings, "store", "store-later")
    count = await start_worker(stores.settings, "count", "count-later", ready=False)
    stores.settings = stores.settings.model_copy(update={"count_urls": count.url})
    await _is_refused(count)
    given = {k.removeprefix("EVENT_COUNTER_"): v for k, v in stores.settings.to_env().items()}
    done = await asyncio.to_thread(command_line, "rebuild", "tables", **given)
    assert done.returncode == 0, done.stderr
    assert "no count worker runs" in done.stderr, "it waited for an answer"
    count.start()
    await count.ready()
    for copy in ("summary", "redis"):
        assert (await stores.rebuild(copy)).lowered == 1, "the page views left out"
    assert await stores.differences() == []
    row = await stores.one("select sum(count)::int as views from event_summary")
    assert row["views"] == COUNTED
    begins = (await decided(stores.settings)).begins
    sent = {1: VIEWS}  # by partition
    assert begins == {(FIRST_DECLARED, part): sent.get(part, 0) for part in range(4)}
    await stores.send_bots("u2", 1)
    assert await stores.differences() == []
    await stores.redis.aclose()


async def _is_refused(count: WorkerProcess) -> None:
    """Before any event comes in, with what to type as its last word, which `run` shows."""
    await wait_until(count.child.alive, expected=False, deadline_s=60)
    words = count.child.last_words()
    assert "set EVENT_COUNTER_STATISTICS back" in words
    assert "event-counter rebuild tables" in words
