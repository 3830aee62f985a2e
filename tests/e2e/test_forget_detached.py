"""forget --user where a month was detached: all is done but the tables, and the rest follows."""

from __future__ import annotations

import asyncio
import json

from tests.conftest import MakeSettings, StartWorker
from tests.e2e.test_forget import NAME, forget
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import command_line
from tests.support.stores import Stores

ATTACH = (
    "alter table event attach partition event_2016_05"
    " for values from ('2016-05-01Z') to ('2016-06-01Z')"
)
USERS = "select user_id from event union all select user_id from event_2016_05"


async def test_a_user_of_a_detached_month_is_forgotten_in_steps(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker
) -> None:
    stores = await Stores.start(make_settings, kafka, start_worker)
    for month in ("05", "06"):
        event = {"type": "A", "url": "/a", "user_id": NAME, "message_id": f"m-{month}"}
        other = event | {"user_id": "bert", "message_id": f"o-{month}"}
        times = {"timestamp": f"2016-{month}-17T10:05:03Z"}
        sent = [json.dumps(one | times).encode() for one in (event, other, other)]
        await kafka.send(stores.events, sent, partition=0)
    assert await stores.differences() == []
    await stores.database.fetch("alter table event detach partition event_2016_05")
    given = {
        n.removeprefix("EVENT_COUNTER_").lower(): v for n, v in stores.settings.to_env().items()
    }
    done = await asyncio.to_thread(command_line, "forget", "--user", NAME, "--yes", **given)
    assert done.returncode == 1
    assert "forgot 2 rows of event, event_2016_05 and 0 of the archive; the tables" in done.stdout
    assert ATTACH in done.stderr
    users = [row["user_id"] for row in await stores.database.fetch(USERS)]
    assert (users.count("bert"), users.count(NAME), len(set(users))) == (4, 0, 2)
    await stores.database.fetch(ATTACH)
    said = await forget(stores.settings, NAME, stores.workers[1])
    assert "forgot 0 rows of event and 0 of the archive; the tables are rebuilt" in said
    assert await stores.differences() == []
    await stores.redis.aclose()
