"""The curls of the README, on a running collector and count worker, answer what it says."""

from __future__ import annotations

from functools import partial

import aiohttp

from app.names import Names
from app.settings import Settings
from tests.conftest import StartWorker
from tests.docs.readme import Example, examples
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

SENT = ("PUT /event_generate/", "POST /track", "POST /", "POST /events")


async def test_the_examples_answer_what_the_readme_says(
    settings: Settings, start_worker: StartWorker, kafka: KafkaClient
) -> None:
    await start_worker(settings, "count")
    await kafka.send(Names(settings.namespace).events, [b'{"url":"/no/type"}'])  # see /rejected
    collector = await start_worker(settings, "collect")
    async with aiohttp.ClientSession(collector.url) as http:

        async def ask(example: Example) -> str:
            async with http.request(
                example.method,
                example.path,
                data=example.body.encode(),
                headers={"Content-Type": "application/json", **example.headers},
            ) as answer:
                return (await answer.text()).replace(settings.namespace, "")

        for example in examples():
            if f"{example.method} {example.path}" in SENT:  # once: it would count again
                answer = await ask(example)
                assert example.answers(answer), answer
            else:
                await wait_until(partial(ask, example), example.answers)
