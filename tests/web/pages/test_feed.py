"""What a follower of the feed is told, and what it missed."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

from web.pages.feed import POINTS, Feed, event


def points(text: bytes) -> list[int]:
    """Return the numbers that the points of a text carry."""
    return [number for name, data in events(text) if name == "point" for number in data.values()]


def events(text: bytes) -> list[tuple[str, dict[str, int]]]:
    """Return (name, data) of each event."""
    found = []
    for block in text.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def fed(count: int) -> Feed:
    """Return a feed after so many ticks; each changed the panel a."""
    feed = Feed("boot")
    for number in range(1, count + 1):
        feed.publish({"n": number}, {"a": b'{"a":%d}' % number})
    return feed


async def first(feed: Feed, last_id: str = "") -> bytes:
    async with aclosing(feed.follow(last_id)) as told:
        return await anext(told)


def test_an_event_has_its_lines() -> None:
    assert event("point", b"{}", "x-1") == b"id: x-1\nevent: point\ndata: {}\n\n"


async def test_a_new_follower_gets_all_points_and_each_panel_as_it_is_now() -> None:
    text = await first(fed(3))
    assert points(text) == [1, 2, 3]
    assert events(text)[-1] == ("panel", {"a": 3})


async def test_one_that_comes_back_gets_only_the_points_that_it_missed() -> None:
    assert points(await first(fed(5), "boot-3")) == [4, 5]
    assert points(await first(fed(5), "boot-5")) == []


async def test_an_id_of_an_earlier_process_or_of_nobody_means_nothing() -> None:
    for last_id in ("other-3", "boot-x", "boot-", "boot-²", "", "-", "boot-" + "9" * 5000):
        assert points(await first(fed(3), last_id)) == [1, 2, 3], last_id


async def test_an_id_from_the_future_gets_no_old_points() -> None:
    assert points(await first(fed(3), "boot-7")) == []


async def test_the_ring_forgets_the_oldest() -> None:
    found = points(await first(fed(POINTS + 10)))
    assert (len(found), found[0]) == (POINTS, 11)
    assert len(points(await first(fed(POINTS + 10), "boot-2"))) == POINTS


async def test_a_tick_is_the_same_bytes_for_all_and_only_what_changed() -> None:
    feed = fed(1)
    async with aclosing(feed.follow()) as one, aclosing(feed.follow()) as two:
        await anext(one)
        await anext(two)
        feed.publish({"n": 2}, {"b": b'{"b":1}'})
        text = await anext(one)
        assert text is await anext(two)
        assert events(text) == [("panel", {"b": 1}), ("point", {"n": 2})]


async def test_a_slow_follower_misses_no_point_and_gets_each_panel_once() -> None:
    feed = fed(1)
    async with aclosing(feed.follow()) as told:
        await anext(told)
        for number in (2, 3, 4):
            feed.publish({"n": number}, {"a": b'{"a":%d}' % number})
        text = await anext(told)
        assert points(text) == [2, 3, 4]
        assert [data for name, data in events(text) if name == "panel"] == [{"a": 4}]


async def test_closing_ends_all_followers() -> None:
    feed = fed(1)

    async def follow() -> int:
        return len([text async for text in feed.follow()])

    tasks = [asyncio.create_task(follow()) for _ in range(3)]
    await asyncio.sleep(0)
    assert feed.followers == 3
    feed.close()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert feed.followers == 0
