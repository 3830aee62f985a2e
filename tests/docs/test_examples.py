"""The curls of each page, on a running collector and count worker, answer what it says.

The README, the reference and all other pages share a copy each, in the order of their names: the
first two show sums of everything that was sent.
"""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath

import aiohttp
import pytest

from app.names import Names
from app.settings import Settings
from tests.conftest import StartWorker
from tests.docs.pages import PAGES, Example, examples
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

SENT = ("PUT /event_generate/", "POST /track", "POST /", "POST /events")


def copy_of(page: str) -> str:
    """Return the copy that the examples of a page run on."""
    folder = str(PurePosixPath(page).parent)
    return folder if folder in {".", "docs/reference"} else "docs"


@pytest.mark.parametrize("place", sorted({copy_of(page) for page in PAGES if examples(page)}))
async def test_the_examples_answer_what_the_page_says(
    place: str, settings: Settings, start_worker: StartWorker, kafka: KafkaClient
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

        pages = [page for page in PAGES if copy_of(page) == place]
        for example in [example for page in pages for example in examples(page)]:
            if f"{example.method} {example.path}" in SENT:  # once: it would count again
                answer = await ask(example)
                assert example.answers(answer), answer
            else:
                await wait_until(partial(ask, example), example.answers)
